"""Bounded deletes: many short transactions instead of a long one, so that other writers get their turn."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import connections, router, transaction
from django.db.models import Q, QuerySet
from django.db.models.deletion import Collector

from .errors import MaintenanceError

Row = tuple[Any, ...]
# How many rows the first batch has at most; each next one is fitted to the time that the last one took.
FIRST: Final = 1000
# Where Django has to load the rows to tell their listeners, memory counts too.
MOST_LOADED: Final = 500
# SQLite refuses an expression of more than 1000 terms.
_MOST_RANGES = 100


class OutOfTime(MaintenanceError):
    """Stopped {why} with rows left: {deleted} deleted."""

    exit_code = 75
    hint = "Run it again: it goes on where it stopped."


@dataclass
class Pace:
    """How fast rows go: at most ``size`` a batch, a batch about ``target`` seconds, ``rest`` seconds between two.

    After ``seconds`` in all (None: no end), or when ``stopped`` says so, no further batch begins.
    """

    size: int = 5000
    rest: float = 0.0
    seconds: float | None = None
    target: float = 0.1
    stopped: Callable[[], bool] = bool
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    batches: int = field(default=0, init=False)
    deleted: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()
        self._fitted = min(self.size, FIRST)

    @property
    def elapsed(self) -> float:
        """Seconds since it was made."""
        return self.clock() - self.started

    def next_size(self, most: int) -> int:
        """Return how many rows the next batch takes."""
        return min(self._fitted, most)

    def before_batch(self) -> None:
        """Rest, except before the first batch. Raises OutOfTime."""
        if not self.batches:
            return
        if self.stopped():
            raise OutOfTime(why="on request", deleted=self.deleted)
        if self.seconds is not None and self.elapsed >= self.seconds:
            raise OutOfTime(why=f"after {self.seconds:g}s", deleted=self.deleted)
        if self.rest:
            self.sleep(self.rest)

    def after_batch(self, *, rows: int, deleted: int, took: float) -> None:
        """Count a batch of ``rows`` that took so many seconds, and fit the next one to the target."""
        self.batches += 1
        self.deleted += deleted
        factor = min(2.0, max(0.25, self.target / max(took, 0.001)))
        self._fitted = min(self.size, max(10, int(rows * factor), self._fitted // 4))


def delete(rows: QuerySet[Any], *, by: str, size: int) -> Iterator[int]:
    """Delete ``rows`` in the order of the indexed field ``by``, at most ``size`` at a time; yield how many each."""
    return (batch.total() for batch in walk(rows, by=by, pace=Pace(size=size)))


def walk(
    rows: QuerySet[Any],
    *,
    by: str,
    pace: Pace,
    using: str | None = None,
    key: str | None = None,
    extra: tuple[str, ...] = (),
    spare: Callable[[Row], bool] | None = None,
    save: Callable[[QuerySet[Any]], None] | None = None,
) -> Iterator[Counter[Any]]:
    """Delete ``rows`` in the order of the indexed field ``by``; yield how many of each value of ``key`` went.

    Only pk, ``by``, ``key`` and ``extra`` are read, unless somebody listens to the model's delete signals or refers to
    it with a cascade: then Django loads one batch at a time and tells them. ``spare`` keeps such a row; ``save`` is
    handed the rows before they go, and may raise to keep them. A row that stops matching in the meantime stays.
    Raises OutOfTime, between two batches only.
    """
    rows = rows.using(using or router.db_for_write(rows.model)).order_by()
    quiet = Collector(using=rows.db).can_fast_delete(rows)
    most = pace.size if quiet else min(pace.size, MOST_LOADED)
    columns = ("pk", by, *((key,) if key else ()), *extra)
    position: Any = None
    spared = 0
    while True:
        # Rows before the position are gone or stay: they are not read again, nor is what is left of them in the index.
        ahead = rows if position is None else rows.filter(**{f"{by}__gte": position})
        size = pace.next_size(most)
        found = list(ahead.order_by(by).values_list(*columns)[: size + spared])
        doomed = [row for row in found if spare is None or not spare(row)]
        if doomed:
            pace.before_batch()
            yield _batch(rows, doomed, pace=pace, key=key, save=save)
        elif len(found) < size + spared:
            return
        position = found[-1][1]
        # Spared rows at the position itself are found again: read so many more.
        spared = len(found) - len(doomed) and sum(row[1] == position and bool(spare and spare(row)) for row in found)


def _batch(
    rows: QuerySet[Any],
    doomed: list[Row],
    *,
    pace: Pace,
    key: str | None,
    save: Callable[[QuerySet[Any]], None] | None,
) -> Counter[Any]:
    # Half of the parameters that one statement may have: the conditions of ``rows`` need some too.
    most = (connections[rows.db].features.max_query_params or 20_000) // 2
    conditions = list(_conditions(sorted(row[0] for row in doomed), most))
    started = pace.clock()
    # Outside of the transaction: on SQLite one that reads first cannot wait for its turn to write.
    for condition in conditions if save else ():
        save(rows.filter(condition))  # type: ignore[misc]
    deleted: Counter[Any] = Counter()
    with transaction.atomic(using=rows.db):
        for condition in conditions:
            for value in dict.fromkeys(row[2] for row in doomed) if key else (None,):
                part = rows.filter(condition, **({key: value} if key else {}))
                deleted[value] += part.delete()[1].get(rows.model._meta.label, 0)
    pace.after_batch(rows=len(doomed), deleted=deleted.total(), took=pace.clock() - started)
    return deleted


def _conditions(pks: list[Any], most: int) -> Iterator[Q]:
    """Yield conditions that together match exactly ``pks``: ranges of neighbours, lists of the others."""
    ranges = list(_ranges(pks))
    singles = [pk for low, high in ranges if high is None for pk in (low,)]
    for part in _parts([pair for pair in ranges if pair[1] is not None], min(_MOST_RANGES, max(1, most // 2))):
        condition = Q()
        for pair in part:
            condition |= Q(pk__range=pair)
        yield condition
    for part in _parts(singles, most):
        yield Q(pk__in=part)


def _ranges(pks: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield (first, last) of each run of consecutive whole numbers, and (pk, None) for what stands alone."""
    start = 0
    for index, pk in enumerate(pks):
        neighbour = isinstance(pk, int) and index + 1 < len(pks) and pks[index + 1] == pk + 1
        if not neighbour:
            yield (pks[start], pk) if index > start else (pk, None)
            start = index + 1


def _parts(values: list[Any], most: int) -> Iterator[list[Any]]:
    return (values[start : start + most] for start in range(0, len(values), most))
