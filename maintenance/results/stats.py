"""What the results of a time tell of each task: runs, failures, retries, durations, waits."""

import json
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from celery.states import FAILURE, READY_STATES, RETRY
from django.db import connections, transaction
from django.db.models import Count, F, FloatField, Func, Max, QuerySet, Sum

from . import tables

_CHUNK: Final = 5000
READY: Final = "ready_at"
# Durations that differ by less than 2 % are one: percentiles are off by half of that at most.
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
    counts them, elsewhere rows are streamed: the memory is the same for any number.
    """
    rows = tables.tables(using).tasks.filter(date_done__gte=since, status__in=(*READY_STATES, RETRY))
    tallies = _computed(rows) if connections[rows.db].vendor == "postgresql" else _streamed(rows)
    return [
        TaskStats(name, each.runs, each.failures, each.retries, each.ran.times(), each.waited.times())
        for name, each in sorted(tallies.items(), key=lambda item: item[0] or "")
    ]


class Epoch(Func):
    """PostgreSQL's: seconds of an interval, or since 1970, without the detour over numeric."""

    template = "DATE_PART('epoch', %(expressions)s)"
    output_field = FloatField()


class Step(Func):
    """PostgreSQL's: the place of a duration on the scale."""

    template = f"CEIL(LN(GREATEST(%(expressions)s, {_SHORTEST})) / {_STEP})"
    output_field = FloatField()


class _Number(Func):
    """PostgreSQL's: the number of a key in a JSON text; any text may stand there, and no regex has to search it."""

    _part = """RTRIM(SPLIT_PART(SPLIT_PART(%(expressions)s, '"%(key)s": ', 2), ',', 1), '}')"""
    template = rf"CASE WHEN {_part} ~ '^\d{{1,12}}(\.\d{{1,12}})?$' THEN CAST({_part} AS double precision) END"
    output_field = FloatField()


@dataclass
class Sketch:
    """Counts of durations on a logarithmic scale: as large for a million as for a thousand."""

    counts: Counter[int] = field(default_factory=Counter)
    most: float | None = None

    def add(self, seconds: float) -> None:
        self.merge(math.ceil(math.log(max(seconds, _SHORTEST)) / _STEP), 1, seconds)

    def merge(self, step: int, number: int, most: float) -> None:
        self.counts[step] += number
        self.most = max(self.most or 0.0, most)

    def times(self) -> Times:
        if self.most is None:
            return Times(None, None, None)
        return Times(self._at(0.5), self._at(0.95), round(self.most, 3))

    def _at(self, share: float) -> float:
        left = share * self.counts.total()
        for step in sorted(self.counts):
            left -= self.counts[step]
            if left <= 0:
                break
        return round(min(self.most or 0.0, math.exp((step - 0.5) * _STEP)), 3)


@dataclass
class _Tally:
    runs: int = 0
    failures: int = 0
    retries: int = 0
    ran: Sketch = field(default_factory=Sketch)
    waited: Sketch = field(default_factory=Sketch)


def _computed(rows: QuerySet[Any]) -> dict[str | None, _Tally]:
    """Let PostgreSQL count on the same scale: a hash of few groups, in parallel, instead of a sort of all rows."""
    with transaction.atomic(using=rows.db):
        # The planner takes every row for a group of its own, and would sort them all on disk.
        with connections[rows.db].cursor() as cursor:
            cursor.execute("SET LOCAL enable_sort = off")
        return _counted(rows)


def _counted(rows: QuerySet[Any]) -> dict[str | None, _Tally]:
    tallies: dict[str | None, _Tally] = defaultdict(_Tally)
    ran = Epoch(F("date_done") - F("date_started"))
    retried = Sum(_Number("meta", key="retries"))
    counted = rows.annotate(step=Step(ran)).values_list("task_name", "status", "step")
    counted = counted.annotate(number=Count("pk"), most=Max(ran), retries=retried)
    for name, status, step, number, most, retries in counted:
        tally = tallies[name]
        tally.retries += int(retries or 0)
        if status != RETRY:
            tally.runs += number
            tally.failures += number if status == FAILURE else 0
            if most is not None:
                tally.ran.merge(int(step), number, most)
    waited = Epoch("date_started") - _Number("meta", key=READY)
    known = rows.filter(date_started__isnull=False, status__in=READY_STATES).annotate(step=Step(waited))
    known = known.values_list("task_name", "step").annotate(number=Count("pk"), most=Max(waited))
    for name, step, number, most in known:
        if most is not None:
            tallies[name].waited.merge(int(step), number, most)
    return tallies


def _streamed(rows: QuerySet[Any]) -> dict[str | None, _Tally]:
    tallies: dict[str | None, _Tally] = defaultdict(_Tally)
    columns = ("task_name", "status", "date_started", "date_done", "meta")
    for name, status, started, done, meta in rows.values_list(*columns).iterator(chunk_size=_CHUNK):
        tally = tallies[name]
        known = _loaded(meta)
        tally.retries += known.get("retries") or 0
        if status == RETRY:
            continue
        tally.runs += 1
        tally.failures += status == FAILURE
        if started is not None:
            tally.ran.add((done - started).total_seconds())
            if ready := known.get(READY):
                tally.waited.add(started.timestamp() - ready)
    return tallies


def _loaded(meta: str | None) -> dict[str, Any]:
    try:
        known = json.loads(meta or "{}")
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}
