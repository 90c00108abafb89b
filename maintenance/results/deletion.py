"""Deleting results by their rules, in batches; or only counting what would go."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from celery.states import SUCCESS
from django.db import connections
from django.db.models import Count, Q, QuerySet
from django.db.utils import InterfaceError, OperationalError

from .. import batches
from ..batches import Pace
from ..errors import Unavailable
from . import chords, rules, tables
from .archive import Archive
from .rules import Rules
from .tables import Tables

# Rows a second, on a small machine (benchmarks/purge.py), for the estimate of a dry run.
_RATES: Final = {"sqlite": 20_000, "postgresql": 100_000}
_SLOWEST: Final = 20_000
# Seconds between two batches: writers of SQLite take turns, and replicas of others have to follow.
NAMELESS: Final = "(no name)"


class DatabaseGone(Unavailable):
    """The database is unavailable: {reason}. Until then {deleted} deleted."""

    hint = "Run it again when it is back: it goes on where it stopped."


@dataclass(frozen=True)
class Purged:
    """What was deleted: rows of each table, task results by status, stuck ones by task; why it stopped, if it did."""

    deleted: int
    by_status: dict[str, int]
    group_results: int
    chord_counters: int
    stuck: dict[str, int]
    batches: int
    seconds: float
    stopped: str | None = None

    @property
    def complete(self) -> bool:
        """Whether everything went that was to go."""
        return self.stopped is None

    @property
    def task_results(self) -> int:
        """How many of the deleted rows were task results."""
        return sum(self.by_status.values())

    def facts(self) -> dict[str, Any]:
        """Return all of it as JSON takes it."""
        return {**asdict(self), "task_results": self.task_results, "complete": self.complete}


@dataclass(frozen=True)
class Counted:
    """What a purge would delete, and about how many seconds it would take."""

    by_status: dict[str, int]
    by_task: dict[str, dict[str, int]]
    group_results: int
    chord_counters: int
    stuck: dict[str, int]
    seconds: float

    @property
    def deleted(self) -> int:
        """How many rows there are in all."""
        return sum(self.by_status.values()) + self.group_results + self.chord_counters

    @property
    def task_results(self) -> int:
        """How many of them are task results."""
        return sum(self.by_status.values())

    def facts(self) -> dict[str, Any]:
        """Return all of it as JSON takes it."""
        return {"deleted": self.deleted, **asdict(self), "task_results": self.task_results}


def default_rest(using: str | None = None) -> float:
    """Return how long to rest between two batches of results, in seconds."""
    return batches.usual_rest(tables.tables(using).tasks.db)


def purge(
    given: Rules,
    *,
    pace: Pace,
    using: str | None = None,
    archive: Archive | None = None,
    tell: Callable[[int], None] = lambda deleted: None,
) -> Purged:
    """Delete what ``given`` rules out, oldest first, and ``tell`` of each batch; stop where ``pace`` says so.

    With an ``archive`` each row is on its disk before it goes. Raises AppNotInstalled, UnknownStatus, CannotWrite,
    DatabaseGone.
    """
    every = tables.tables(using)
    save = archive.save if archive else None
    counts = {name: Counter[Any]() for name in ("stuck", "status", "groups", "chords")}
    stopped = None
    rarer = _rarer(given, every)
    try:
        for name, batch in _batches(given, every, pace=pace, save=save):
            counts[name] += batch
            tell(batch.total())
    except batches.OutOfTime as error:
        stopped = str(error.facts["why"])
    except (OperationalError, InterfaceError) as error:
        raise DatabaseGone(reason=str(error).strip(), deleted=pace.deleted) from error
    stuck, by_status = _parted(counts["stuck"])
    if unknown := counts["status"].pop(None, 0):
        rarer -= _rarer(given, every) if stopped else Counter()
        counts["status"] += rarer + Counter({SUCCESS: unknown - rarer.total()})
    return Purged(
        deleted=pace.deleted,
        by_status=dict(sorted((by_status + counts["status"]).items())),
        group_results=counts["groups"].total(),
        chord_counters=counts["chords"].total(),
        stuck=stuck,
        batches=pace.batches,
        seconds=round(pace.elapsed, 3),
        stopped=stopped,
    )


def count(given: Rules, *, pace: Pace, using: str | None = None) -> Counted:
    """Return what a purge would delete at this pace. Raises AppNotInstalled, UnknownStatus."""
    every = tables.tables(using)
    kept = rules.newest(given, every.tasks)
    hanging = rules.stuck(given, every.tasks)
    old = rules.aged(given, every.tasks).exclude(pk__in=hanging.values("pk"))
    old = old if (limit := rules.latest(given)) is None else old.filter(date_done__lt=limit)
    rows = Counter[tuple[str | None, str]]()
    for part in _without(old, kept):
        rows.update({(name, status): number for name, status, number in _grouped(part)})
    stuck_rows = Counter({(name, status): number for name, status, number in _grouped(hanging)})
    by_task: dict[str, dict[str, int]] = {}
    for (name, status), number in sorted((rows + stuck_rows).items(), key=lambda item: (item[0][0] or "", item[0][1])):
        by_task.setdefault(name or NAMELESS, {})[status] = number
    by_status = Counter[str]()
    for statuses in by_task.values():
        by_status.update(statuses)
    groups = 0 if given.only_tasks or given.before is None else every.groups.filter(date_done__lt=given.before).count()
    lost = 0 if given.only_tasks else sum(part.count() for part in chords.orphans(every, before=given.before))
    number = by_status.total() + groups + lost
    seconds = number / _RATES.get(connections[every.tasks.db].vendor, _SLOWEST) + pace.rest * number / pace.next_size()
    return Counted(dict(sorted(by_status.items())), by_task, groups, lost, _parted(stuck_rows)[0], round(seconds, 1))


def _batches(
    given: Rules, every: Tables, *, pace: Pace, save: Callable[[QuerySet[Any]], None] | None
) -> Iterator[tuple[str, Counter[Any]]]:
    # Counters first: the results that tell whether they can complete go next.
    for part in () if given.only_tasks else chords.orphans(every, before=given.before):
        for batch in batches.walk(part, by="id", pace=pace, using=part.db, save=save):
            yield "chords", batch
    for status in rules.STUCK:
        rows = rules.stuck(given, every.tasks).filter(status=status)
        for batch in batches.walk(rows, by="date_done", pace=pace, using=rows.db, key="task_name", save=save):
            yield "stuck", Counter({(name, status): number for name, number in batch.items()})
    old, kept = rules.aged(given, every.tasks), rules.newest(given, every.tasks)
    for batch in batches.walk(
        old,
        by="date_done",
        pace=pace,
        using=old.db,
        key="status",
        extra=("task_name",) if kept else (),
        spare=rules.spare(kept),
        save=save,
        until=rules.latest(given),
    ):
        yield "status", batch
    if not given.only_tasks and given.before is not None:
        groups = every.groups
        walk = batches.walk(groups, by="date_done", pace=pace, using=groups.db, save=save, until=given.before)
        for batch in walk:
            yield "groups", batch


def _rarer(given: Rules, every: Tables) -> Counter[str]:
    """Return how many rows go of each status but SUCCESS: to count those takes the index of the few, not a look at all.

    Rows that have not moved for so long stay what they are while they are deleted.
    """
    old, limit = rules.aged(given, every.tasks), rules.latest(given)
    if limit is None:
        return Counter()
    if given.stuck_before is not None:
        old = old.exclude(status__in=rules.STUCK, date_done__lt=given.stuck_before)
    statuses = tables.values("status", every.tasks)
    return Counter({each: old.filter(status=each, date_done__lt=limit).count() for each in statuses if each != SUCCESS})


def _without(rows: QuerySet[Any], kept: dict[str | None, rules.Last]) -> Iterator[QuerySet[Any]]:
    """Yield the rows in parts by name, without those that are kept of it; all in one where none are."""
    if not kept:
        yield rows
    for name, last in kept.items():
        if last is not None:
            date, pk = last
            yield rows.filter(task_name=name).filter(Q(date_done__lt=date) | Q(date_done=date, pk__lt=pk))


def _grouped(rows: QuerySet[Any]) -> QuerySet[Any]:
    grouped: QuerySet[Any] = rows.values_list("task_name", "status").annotate(number=Count("pk"))
    return grouped


def _parted(stuck: Counter[tuple[str | None, str]]) -> tuple[dict[str, int], Counter[str]]:
    """Return counts by task and by status."""
    by_task, by_status = Counter[str](), Counter[str]()
    for (name, status), number in stuck.items():
        by_task[name or NAMELESS] += number
        by_status[status] += number
    return dict(sorted(by_task.items())), by_status
