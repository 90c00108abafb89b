"""Bounded deletes: many short transactions instead of a long one, so that other writers get their turn."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q, QuerySet
from django.db.models.deletion import Collector

from .errors import MaintenanceError

Row = tuple[Any, ...]
Save = Callable[[QuerySet[Any]], None]
# Rows of the first batch; each next one is fitted to the time that the last one took.
FIRST: Final = 5000
MOST: Final = 250_000
# Fewer are never worth a transaction, however slow the machine is just now.
LEAST: Final = 500
# Rows that are read by their ids, and fewer where Django has to load them whole to tell their listeners.
MOST_READ: Final = 20_000
MOST_LOADED: Final = 500
# SQLite refuses an expression of more than 1000 terms.
_MOST_RANGES = 100
_READERS_MS = 20
# Seconds in which others get their turn to write.
_REST: Final = 0.05


class OutOfTime(MaintenanceError):
    """Stopped {why} with rows left: {deleted} deleted."""

    exit_code = 75
    hint = "Run it again: it goes on where it stopped."


@dataclass
class Pace:
    """How fast rows go: a batch about ``target`` seconds, at most ``size`` rows, ``rest`` seconds between two.

    After ``seconds`` in all (None: no end), or when ``stopped`` says so, no further batch begins.
    """

    size: int | None = None
    rest: float = 0.0
    seconds: float | None = None
    target: float = 0.1
    stopped: Callable[[], bool] = bool
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    batches: int = field(default=0, init=False)
    deleted: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.started = self._ended = self.clock()
        self._fitted = min(self.size or FIRST, FIRST)

    @property
    def elapsed(self) -> float:
        """Seconds since it was made."""
        return self.clock() - self.started

    def next_size(self, most: int = MOST) -> int:
        """Return how many rows the next batch takes."""
        return min(self._fitted, most)

    def before_batch(self) -> None:
        """Rest what is left of the pause, except before the first batch. Raises OutOfTime."""
        if not self.batches:
            return
        if self.stopped():
            raise OutOfTime(why="on request", deleted=self.deleted)
        if self.seconds is not None and self.elapsed >= self.seconds:
            raise OutOfTime(why=f"after {self.seconds:g}s", deleted=self.deleted)
        left = self.rest - (self.clock() - self._ended)
        if left > 0:
            self.sleep(left)

    def after_batch(self, *, deleted: int, took: float) -> None:
        """Count a batch that took so many seconds, and fit the next one to the target."""
        self._ended = self.clock()
        self.batches += 1
        self.deleted += deleted
        # A batch that found few rows to delete says nothing of one that finds many.
        if deleted * 4 >= self._fitted or took > self.target:
            fitting = int(deleted * min(4.0, self.target / max(took, 0.001)))
            self._fitted = min(self.size or MOST, max(LEAST, fitting, self._fitted // 4))


def usual_rest(using: str) -> float:
    """Return how long to rest between two batches, in seconds: none on PostgreSQL, whose writers do not wait."""
    return 0.0 if connections[using].vendor == "postgresql" else _REST


def walk(
    rows: QuerySet[Any],
    *,
    by: str,
    pace: Pace,
    using: str | None = None,
    key: str | None = None,
    extra: tuple[str, ...] = (),
    spare: Callable[[Row], bool] | None = None,
    save: Save | None = None,
    until: Any = None,
) -> Iterator[Counter[Any]]:
    """Delete ``rows`` in the order of the indexed field ``by``; yield how many of each value of ``key`` went.

    No row is loaded, unless somebody listens to the model's delete signals or refers to it with a cascade: then Django
    loads one batch at a time and tells them. ``spare`` keeps a row (pk, by, key, *extra); ``save`` is handed the rows
    before they go, and may raise to keep them. A row that stops matching in the meantime stays.

    Only rows whose ``by`` is less than ``until`` go; where it is given most of those should, and neither ids nor keys
    are read: all count as None. ``rows`` must not limit ``by`` upwards themselves: SQLite would read on to that limit
    in every batch.
    Raises OutOfTime, between two batches only.
    """
    rows = rows.using(using or router.db_for_write(rows.model)).order_by()
    quiet = Collector(using=rows.db).can_fast_delete(rows)
    with _checkpoints(connections[rows.db]) as checkpoint:
        work = _Work(rows, by, pace, key, save, checkpoint)
        if until is None or spare or save or not quiet:
            if until is not None:
                work = replace(work, rows=rows.filter(**{f"{by}__lt": until}))
            yield from _by_ids(work, extra=extra, spare=spare, most=MOST_READ if quiet else MOST_LOADED)
        else:
            yield from _by_ranges(work, until)


@dataclass(frozen=True)
class _Work:
    """What is deleted, and how."""

    rows: QuerySet[Any]
    by: str
    pace: Pace
    key: str | None
    save: Save | None
    checkpoint: Callable[[], None]

    def delete(self, conditions: list[Q], expected: Counter[Any]) -> Counter[Any]:
        """Delete what matches, in one transaction, and return how many rows of each key went."""
        # Outside of the transaction: on SQLite one that reads first cannot wait for its turn to write.
        for condition in conditions if self.save else ():
            self.save(self.rows.filter(condition))  # type: ignore[misc]
        parts = [(None, self.rows.filter(condition)) for condition in conditions]
        if self.in_turn(parts, expected.total()) is not None:
            return expected
        # Some have changed since they were counted: what each key's number is, only a delete of its own tells.
        values = [(value, {self.key: value} if self.key else {}) for value in expected]
        parts = [(value, self.rows.filter(condition, **only)) for condition in conditions for value, only in values]
        return self.in_turn(parts) or Counter()

    def in_turn(self, parts: list[tuple[Any, QuerySet[Any]]], expected: int | None = None) -> Counter[Any] | None:
        """Delete the parts in one transaction; take that back and return None where it is not the number expected."""
        deleted: Counter[Any] = Counter()
        with transaction.atomic(using=self.rows.db):
            self._queue_up()
            # What it waited for others is not its own time.
            started = self.pace.clock()
            for value, rows in parts:
                deleted[value] += rows.delete()[1].get(rows.model._meta.label, 0)
            if expected is not None and deleted.total() != expected:
                transaction.set_rollback(True, using=self.rows.db)
                return None
        self.pace.after_batch(deleted=deleted.total(), took=self.pace.clock() - started)
        self.checkpoint()
        return deleted

    def _queue_up(self) -> None:
        """Wait for the turn to write, where writers take turns: SQLite's begins with the first write."""
        connection = connections[self.rows.db]
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                table = connection.ops.quote_name(self.rows.model._meta.db_table)
                cursor.execute(f"DELETE FROM {table} WHERE 0")  # noqa: S608 - a table of Django's


def _by_ids(
    work: _Work, *, most: int, extra: tuple[str, ...] = (), spare: Callable[[Row], bool] | None = None
) -> Iterator[Counter[Any]]:
    columns = ("pk", work.by, *((work.key,) if work.key else ()), *extra)
    # Half of the parameters that one statement may have: the conditions of the rows need some too.
    parameters = (connections[work.rows.db].features.max_query_params or 20_000) // 2
    position: Any = None
    spared = 0
    while True:
        # Rows before the position are gone or stay: they are not read again, nor is what is left of them in the index.
        ahead = work.rows if position is None else work.rows.filter(**{f"{work.by}__gte": position})
        size = work.pace.next_size(most) + spared
        found = list(ahead.order_by(work.by).values_list(*columns)[:size])
        doomed = [row for row in found if spare is None or not spare(row)]
        if doomed:
            work.pace.before_batch()
            conditions = list(_conditions(sorted(row[0] for row in doomed), parameters))
            yield work.delete(conditions, Counter(row[2] if work.key else None for row in doomed))
        elif len(found) < size:
            return
        position = found[-1][1]
        # Spared rows at the position itself are found again: read so many more.
        spared = sum(row[1] == position and bool(spare and spare(row)) for row in found)


def _by_ranges(work: _Work, until: Any) -> Iterator[Counter[Any]]:
    by = work.by
    every = work.rows.model._base_manager.using(work.rows.db).filter(**{f"{by}__lt": until})
    values = every.order_by(by).values_list(by, flat=True)
    position = values.first()
    while position is not None:
        # The index alone answers this: the values of all rows, whichever match.
        size = work.pace.next_size()
        end = next(iter(values.filter(**{f"{by}__gte": position})[size : size + 1]), None)
        if end == position:
            # More rows of one value than a batch takes.
            tied = replace(work, rows=work.rows.filter(**{by: position}), key=None)
            yield from _by_ids(tied, most=MOST_READ)
            position = values.filter(**{f"{by}__gt": position}).first()
            continue
        window = Q(**{f"{by}__gte": position, f"{by}__lt": until if end is None else end})
        work.pace.before_batch()
        yield work.in_turn([(None, work.rows.filter(window))]) or Counter()
        position = end


@contextmanager
def _checkpoints(connection: BaseDatabaseWrapper) -> Iterator[Callable[[], None]]:
    """Give what moves SQLite's log into its file between batches, when others may write, and not within a commit.

    A log that is never begun anew grows to the size of all that is deleted, and every page read searches it.
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield lambda: None
        return

    def pragma(statement: str) -> Any:
        with connection.cursor() as cursor:
            return cursor.execute(f"PRAGMA {statement}").fetchone()

    (usual,), (patience,) = pragma("wal_autocheckpoint"), pragma("busy_timeout")

    def checkpoint() -> None:
        pragma("wal_checkpoint(PASSIVE)")
        # Nothing is left to copy: this only waits for readers, while it keeps writers out.
        pragma(f"busy_timeout = {_READERS_MS}")
        pragma("wal_checkpoint(RESTART)")
        pragma(f"busy_timeout = {patience}")

    pragma("wal_autocheckpoint = 0")
    try:
        yield checkpoint
    finally:
        pragma(f"wal_autocheckpoint = {usual}")


def _conditions(pks: list[Any], most: int) -> Iterator[Q]:
    """Yield conditions that together match exactly ``pks``: ranges of neighbours, lists of the others."""
    ranges = list(_ranges(pks))
    singles = [low for low, high in ranges if high is None]
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
