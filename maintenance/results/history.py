"""What the results of the last days tell at a glance: runs by hour, durations by task, runs of schedules, one failure.

Each is bounded: a table of many millions of rows is never read whole.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from celery.states import FAILURE, READY_STATES, STARTED
from django.db import connections
from django.db.models import Count, F, Max, Min, Q, QuerySet
from django.db.models.functions import Coalesce, TruncHour, TruncMinute

from . import listing, tables
from .stats import Epoch, Sketch, Step

# PostgreSQL counts them; elsewhere each row passes through Python, be it SQLite's own functions.
_MOST: Final = {"postgresql": 200_000, "sqlite": 20_000, "mysql": 50_000}


@dataclass(frozen=True)
class Hour:
    """The runs that ended in an hour."""

    at: datetime
    ok: int
    failed: int


@dataclass(frozen=True)
class Duration:
    """How long a task's runs took: 95 of 100 were shorter than ``p95`` seconds."""

    task: str | None
    runs: int
    p95: float


@dataclass(frozen=True)
class Run:
    """Runs of a schedule that ended alike within the same minute: from the first one's start to the last one's end."""

    schedule: str
    status: str
    start: datetime
    end: datetime
    count: int


@dataclass(frozen=True)
class Failure:
    """A failed task, with what it left behind."""

    key: int
    listed: listing.Listed
    traceback: str


def since(start: datetime, *, using: str | None = None) -> datetime:
    """Return ``start``, or the later time from which on there are as many results as can be counted quickly."""
    rows = tables.tables(using).tasks.filter(date_done__gte=start).order_by("-date_done")
    most = _MOST.get(connections[rows.db].vendor, min(_MOST.values()))
    latest: datetime | None = rows.values_list("date_done", flat=True)[most - 1 : most].first()
    return latest or start


def hours(start: datetime, *, using: str | None = None) -> list[Hour]:
    """Return the hours since ``start`` in which runs ended, oldest first."""
    rows = tables.tables(using).tasks.filter(date_done__gte=start, status__in=READY_STATES)
    failed = Count("pk", filter=Q(status=FAILURE))
    by_hour = rows.values_list(TruncHour("date_done", tzinfo=UTC))
    counted = by_hour.annotate(runs=Count("pk"), failed=failed).order_by()
    return sorted((Hour(at, runs - bad, bad) for at, runs, bad in counted), key=lambda hour: hour.at)


def durations(start: datetime, *, using: str | None = None) -> list[Duration]:
    """Return the tasks that ran since ``start``, the slowest first; needs CELERY_TASK_TRACK_STARTED."""
    rows = tables.tables(using).tasks.filter(date_done__gte=start, status__in=READY_STATES, date_started__isnull=False)
    sketches: dict[str | None, Sketch] = defaultdict(Sketch)
    if connections[rows.db].vendor == "postgresql":
        ran = Step(Epoch(F("date_done") - F("date_started")))
        counted = rows.annotate(step=ran).values_list("task_name", "step")
        for name, step, number in counted.annotate(runs=Count("pk")):
            sketches[name].merge(step, number)
    else:
        for name, began, ended in rows.values_list("task_name", "date_started", "date_done").iterator():
            sketches[name].add((ended - began).total_seconds())
    found = [Duration(name, each.counts.total(), each.times().p95 or 0.0) for name, each in sketches.items()]
    return sorted(found, key=lambda duration: (-duration.p95, duration.task or ""))


def failed(start: datetime, *, most: int, using: str | None = None) -> int:
    """Return how many runs failed since ``start``; the count ends at ``most``."""
    rows = tables.tables(using).tasks.filter(date_done__gte=start, status=FAILURE)
    return int(rows.order_by("-date_done")[:most].count())


def runs(schedules: Collection[str], *, start: datetime, using: str | None = None) -> list[Run]:
    """Return the runs of these schedules that ended, or have been running, since ``start``; in one query."""
    rows: QuerySet[Any] = tables.tables(using).tasks.filter(periodic_task_name__in=schedules, date_done__gte=start)
    counted = rows.filter(status__in=(*READY_STATES, STARTED)).annotate(minute=TruncMinute("date_done", tzinfo=UTC))
    counted = counted.values_list("periodic_task_name", "status", "minute").annotate(
        began=Min(Coalesce("date_started", "date_done")), ended=Max("date_done"), runs=Count("pk")
    )
    return [Run(name, status, first, last, number) for name, status, _, first, last, number in counted]


def failure(task_id: str, *, using: str | None = None) -> Failure | None:
    """Return a failed task; None where there is none of this id that failed."""
    rows = tables.tables(using).tasks.filter(task_id=task_id, status=FAILURE)
    found = listing.read(rows, limit=1)
    if not found:
        return None
    key, traceback = rows.values_list("pk", "traceback")[0]
    return Failure(key, found[0], traceback or "")
