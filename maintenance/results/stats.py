"""What the results of a time tell of each task: runs, failures, retries, durations, waits."""

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from celery.states import FAILURE, READY_STATES, RETRY
from django.db import connections
from django.db.models import Aggregate, Count, F, FloatField, Func, Max, Q, QuerySet, Sum
from django.db.models.functions import Cast, Extract

from . import tables

_CHUNK: Final = 5000
# Durations that differ by less than this are one: the percentiles of the stream are off by half of it at most.
_STEP: Final = math.log(1.02)
_SHORTEST: Final = 0.0001


@dataclass(frozen=True)
class Times:
    """Percentiles in seconds; None where none is known."""

    p50: float | None
    p95: float | None
    max: float | None


@dataclass(frozen=True)
class TaskStats:
    """A task's runs that ended, how many of them failed, how often they were retried, how long they ran and waited."""

    task: str | None
    runs: int
    failures: int
    retries: int
    duration: Times
    wait: Times


def read(*, since: datetime, using: str | None = None) -> list[TaskStats]:
    """Return a task's figures each, by name, of what ended ``since`` then. Raises AppNotInstalled.

    Durations need CELERY_TASK_TRACK_STARTED; waits and the retries of ended runs need our result backend. PostgreSQL
    computes them, elsewhere rows are streamed: the memory is the same for any number.
    """
    rows = tables.tables(using).tasks.filter(date_done__gte=since, status__in=(*READY_STATES, RETRY))
    figures = _computed if connections[rows.db].vendor == "postgresql" else _streamed
    return sorted(figures(rows), key=lambda each: each.task or "")


class _Percentiles(Aggregate):
    """PostgreSQL's: the median and the 95th, as a list."""

    template = "PERCENTILE_DISC(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()

    def convert_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return value


class _Number(Func):
    """PostgreSQL's: the number that follows a key in a JSON text; unlike a cast it takes any text."""

    template = """SUBSTRING(%(expressions)s FROM '"%(key)s": ?([0-9.]+)')"""


def _computed(rows: QuerySet[Any]) -> Iterable[TaskStats]:
    ended = Q(status__in=READY_STATES)
    known = rows.annotate(
        ran=Extract(F("date_done") - F("date_started"), "epoch"),
        waited=Extract("date_started", "epoch", tzinfo=UTC) - Cast(_Number("meta", key="ready_at"), FloatField()),
        retried=Cast(_Number("meta", key="retries"), FloatField()),
    )
    grouped = known.values("task_name").annotate(
        runs=Count("pk", filter=ended),
        failures=Count("pk", filter=Q(status=FAILURE)),
        retries=Sum("retried"),
        ran_at=_Percentiles("ran", filter=ended),
        ran_most=Max("ran", filter=ended),
        waited_at=_Percentiles("waited", filter=ended),
        waited_most=Max("waited", filter=ended),
    )
    for row in grouped:
        yield TaskStats(
            row["task_name"],
            row["runs"],
            row["failures"],
            int(row["retries"] or 0),
            _times(row["ran_at"], row["ran_most"]),
            _times(row["waited_at"], row["waited_most"]),
        )


def _times(at: list[float] | None, most: float | None) -> Times:
    p50, p95 = at or (None, None)
    return Times(*(None if each is None else round(max(0.0, float(each)), 3) for each in (p50, p95, most)))


@dataclass
class _Sketch:
    """Counts of durations on a logarithmic scale: as large for a million as for a thousand."""

    counts: Counter[int] = field(default_factory=Counter)
    most: float | None = None

    def add(self, seconds: float) -> None:
        seconds = max(0.0, seconds)
        self.counts[math.ceil(math.log(max(seconds, _SHORTEST)) / _STEP)] += 1
        self.most = seconds if self.most is None else max(self.most, seconds)

    def times(self) -> Times:
        return _times([self._at(0.5), self._at(0.95)] if self.most is not None else None, self.most)

    def _at(self, share: float) -> float:
        left = share * self.counts.total()
        for step in sorted(self.counts):
            left -= self.counts[step]
            if left <= 0:
                break
        return min(self.most or 0.0, math.exp((step - 0.5) * _STEP))


@dataclass
class _Tally:
    runs: int = 0
    failures: int = 0
    retries: int = 0
    ran: _Sketch = field(default_factory=_Sketch)
    waited: _Sketch = field(default_factory=_Sketch)


def _streamed(rows: QuerySet[Any]) -> Iterable[TaskStats]:
    tallies: dict[str | None, _Tally] = {}
    columns = ("task_name", "status", "date_started", "date_done", "meta")
    for name, status, started, done, meta in rows.values_list(*columns).iterator(chunk_size=_CHUNK):
        tally = tallies.setdefault(name, _Tally())
        known = _loaded(meta)
        tally.retries += known.get("retries") or 0
        if status == RETRY:
            continue
        tally.runs += 1
        tally.failures += status == FAILURE
        if started is not None:
            tally.ran.add((done - started).total_seconds())
            if ready := known.get("ready_at"):
                tally.waited.add(started.timestamp() - ready)
    for name, tally in tallies.items():
        yield TaskStats(name, tally.runs, tally.failures, tally.retries, tally.ran.times(), tally.waited.times())


def _loaded(meta: str | None) -> dict[str, Any]:
    try:
        known = json.loads(meta or "{}")
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}
