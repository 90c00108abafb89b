"""What the results of a time tell of each task: runs, failures, retries, durations, waits."""

import json
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from celery.states import FAILURE, READY_STATES, RETRY
from django.db import connections, transaction
from django.db.models import Count, F, FloatField, Func, Q, QuerySet, Sum

from . import tables

_CHUNK: Final = 5000
READY: Final = "ready_at"
# Durations that differ by less than 0.5 % are one: what is told of them is off by half of that at most.
_STEP: Final = math.log(1.005)
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
    """PostgreSQL's: the place of a duration on the scale; infinite for none, as GREATEST takes NULL for the least."""

    template = f"ROUND(LN(GREATEST(COALESCE(%(expressions)s, 'Infinity'), {_SHORTEST})) / {_STEP})"
    output_field = FloatField()


class _Number(Func):
    """PostgreSQL's: the number of a key in a JSON text; any text may stand there, and no regex has to search it."""

    _rest = """SPLIT_PART(%(expressions)s, '"%(key)s": ', 2)"""
    # A regex that counts its digits, as \d{1,12} does, would take ten times as long.
    _part = f"RTRIM(SPLIT_PART(LEFT({_rest}, 25), ',', 1), '}}')"
    template = f"CASE WHEN {_part} ~ '^[0-9]+[.]?[0-9]*$' THEN CAST({_part} AS double precision) END"
    output_field = FloatField()


@dataclass
class Sketch:
    """Counts of durations on a logarithmic scale: as large for a million as for a thousand."""

    counts: Counter[int] = field(default_factory=Counter)

    def add(self, seconds: float) -> None:
        self.merge(round(math.log(max(seconds, _SHORTEST)) / _STEP), 1)

    def merge(self, step: float, number: int) -> None:
        """Count so many at a place of the scale; an infinite one is none."""
        if math.isfinite(step):
            self.counts[int(step)] += number

    def times(self) -> Times:
        return Times(self._at(0.5), self._at(0.95), self._at(1)) if self.counts else Times(None, None, None)

    def _at(self, share: float) -> float:
        left = share * self.counts.total()
        for step in sorted(self.counts):
            left -= self.counts[step]
            if left <= 0:
                break
        return round(math.exp(step * _STEP), 3)


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
        # The planner takes every row for a group of its own, which it would sort on disk in one process, and reading a
        # number from a text for as cheap as comparing two.
        with connections[rows.db].cursor() as cursor:
            for setting in ("enable_sort = off", "parallel_tuple_cost = 0", "cpu_operator_cost = 0.1", "jit = off"):
                cursor.execute(f"SET LOCAL {setting}")
        return _counted(rows)


def _counted(rows: QuerySet[Any]) -> dict[str | None, _Tally]:
    tallies: dict[str | None, _Tally] = defaultdict(_Tally)
    ran = Step(Epoch(F("date_done") - F("date_started")))
    # Most have not been retried: to see that takes less than to read a number.
    retried = Sum(_Number("meta", key="retries"), filter=~Q(meta__contains='"retries": 0'))
    counted = rows.annotate(step=ran).values_list("task_name", "status", "step")
    for name, status, step, number, retries in counted.annotate(number=Count("pk"), retries=retried):
        tally = tallies[name]
        tally.retries += int(retries or 0)
        if status != RETRY:
            tally.runs += number
            tally.failures += number if status == FAILURE else 0
            tally.ran.merge(step, number)
    waited = Step(Epoch("date_started") - _Number("meta", key=READY))
    known = rows.filter(date_started__isnull=False, status__in=READY_STATES).annotate(step=waited)
    for name, step, number in known.values_list("task_name", "step").annotate(number=Count("pk")):
        tallies[name].waited.merge(step, number)
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
