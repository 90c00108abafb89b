"""After a change of time zone: last runs forgotten, crontabs moved, so that beat computes the next runs afresh."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django_celery_beat.models import PeriodicTask

from .. import lease, units
from . import apply as writing
from . import select, stored, sync, upcoming
from .plan import Plan, Update
from .stored import Row, Stored
from .timings import Crontab


@dataclass(frozen=True)
class Move:
    """A crontab that goes to another zone, and its next run before and after."""

    name: str
    zones: tuple[str, str]
    next_run: tuple[datetime | None, datetime | None]


@dataclass(frozen=True)
class Resets:
    """The schedules whose last run is to forget, and those that move; and how many were looked at."""

    names: tuple[str, ...]
    selected: int
    moves: tuple[Move, ...] = ()
    only: tuple[str, ...] | None = None
    writes: tuple[Plan, Stored] = field(default=(Plan(), Stored()), repr=False)

    @property
    def touched(self) -> frozenset[str]:
        """The names of those that something happens to."""
        return frozenset((*self.names, *(move.name for move in self.moves)))

    @property
    def count(self) -> str:
        """How many of those that were looked at."""
        return f"{len(self.touched)} of {units.counted(self.selected, 'schedule')}"


def plan(
    *,
    only: Collection[str] = (),
    leave: str | None = None,
    to: str | None = None,
    zones: Mapping[str, str] | None = None,
    now: datetime,
    using: str,
) -> Resets:
    """Return what a reset would do: to every schedule, to those named, or to the crontabs in the zone ``leave``.

    Crontabs of ours move to the zone that ``zones`` names for them; with ``to`` all that are selected move there.
    Raises UnknownSchedule.
    """
    tables = stored.read(using=using)
    select.known(only, among=tables.rows)
    chosen = [tables.rows[name] for name in sorted(tables.rows) if not only or name in only]
    if leave:
        chosen = [row for row in chosen if isinstance(row.entry.timing, Crontab) and row.entry.timing.zone == leave]
    goals = {row.entry.name: to or (zones or {}).get(row.entry.name) for row in chosen}
    updates = [moved for row in chosen if (moved := _moved(row, goals[row.entry.name], tables, forced=bool(to)))]
    last_runs = dict(PeriodicTask.objects.using(using).values_list("name", "last_run_at"))
    names = [row.entry.name for row in chosen]
    return Resets(
        names=tuple(name for name in names if last_runs.get(name) is not None),
        selected=len(chosen),
        moves=tuple(_move(tables.rows[update.entry.name], update, now) for update in updates),
        only=tuple(names) if only or leave else None,
        writes=(_plan(updates, tables), tables),
    )


def explain(resets: Resets) -> list[str]:
    """Return a line for each schedule that moves, and for each whose last run is forgotten."""
    return [
        *(f"~ {each.name}: {' -> '.join(each.zones)}, next run {_arrow(each.next_run)}" for each in resets.moves),
        *(f"~ {name}: last run forgotten" for name in resets.names),
    ]


def document(resets: Resets) -> dict[str, Any]:
    """Return what reset_schedules --json prints, but for ``applied``."""
    moves = [{"name": each.name, "zone": each.zones, "next_run": each.next_run} for each in resets.moves]
    return {"reset": list(resets.names), "moved": moves, "selected": resets.selected}


def apply(resets: Resets, *, holder: str, using: str, now: datetime) -> int:
    """Move, clear last_run_at, tell beat once, and return how many last runs were forgotten. Raises LockHeld."""
    if not resets.names and not resets.moves:
        return 0
    moving, tables = resets.writes
    changed = 0
    lock = lease.held(sync.LOCK, holder=holder, ttl=sync.LOCK_LIVES_FOR, reason="reset_schedules", using=using)
    with lock, transaction.atomic(using=using):
        writing.apply(moving, stored=tables, using=using, now=now)
        rows = PeriodicTask.objects.using(using).filter(last_run_at__isnull=False)
        if resets.only is None:
            changed = rows.update(last_run_at=None)
        else:
            for some in writing.batches(list(resets.only), using):
                changed += rows.filter(name__in=some).update(last_run_at=None)
        writing.mark_changed(using=using, now=now)
    return int(changed)


def _moved(row: Row, zone: str | None, tables: Stored, *, forced: bool) -> Update | None:
    timing = row.entry.timing
    if not zone or not isinstance(timing, Crontab) or timing.zone == zone:
        return None
    if not forced and row.entry.name not in tables.owned:
        return None
    target = replace(timing, zone=zone)
    return Update(row.pk, replace(row.entry, timing=target), {"schedule": (str(timing), str(target))})


def _plan(updates: list[Update], tables: Stored) -> Plan:
    """Return the moves as sync writes them; what was applied is kept, so that sync sees a move as an edit by hand."""
    own = {
        update.entry.name: tables.owned[update.entry.name] for update in updates if update.entry.name in tables.owned
    }
    return Plan(update=tuple(updates), own=own)


def _move(row: Row, update: Update, now: datetime) -> Move:
    before, later = row.entry.timing, update.entry.timing
    zones = tuple(each.zone for each in (before, later) if isinstance(each, Crontab))
    return Move(row.entry.name, (zones[0], zones[1]), (upcoming.after(before, now), upcoming.after(later, now)))


def _arrow(runs: tuple[datetime | None, datetime | None]) -> str:
    return " -> ".join(run.isoformat() if run else "never" for run in runs)
