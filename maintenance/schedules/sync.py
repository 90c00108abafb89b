"""From what is declared to the tables: a look, which writes nothing, and then the writing, one sync at a time."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .. import lease
from ..errors import MaintenanceError
from . import apply, select, stored
from .declared import Declaration
from .diff import diff
from .plan import OnConflict, Plan, Prune
from .stored import Stored

LOCK = "sync_schedules"
LOCK_LIVES_FOR = timedelta(minutes=2)


class Overtaken(MaintenanceError):
    """Somebody changed schedules meanwhile: {names} would be deleted too. Nothing was written."""

    exit_code = 4
    hint = "Look at the plan again."


@dataclass(frozen=True)
class Wishes:
    """How sync_schedules shall decide; ``only`` these names, when there are any."""

    prune: Prune = "disable"
    on_conflict: OnConflict = "db"
    adopt: bool = False
    only: Collection[str] = ()


@dataclass(frozen=True)
class Look:
    """What sync_schedules would do, and what it has seen for it. With errors there is no plan."""

    declaration: Declaration
    wishes: Wishes = Wishes()
    plan: Plan = Plan()
    tables: Stored = field(default=Stored(), repr=False)


def look(declaration: Declaration, wishes: Wishes, *, using: str) -> Look:
    """Compare what is declared with the tables. Raises UnknownSchedule for a name in ``only`` that nobody knows."""
    if declaration.errors:
        return Look(declaration, wishes)
    tables = stored.read(using=using)
    select.known(wishes.only, among=[*(entry.name for entry in declaration.entries), *tables.rows, *tables.owned])
    chosen = diff(
        declaration.entries,
        tables,
        prune=wishes.prune,
        on_conflict=wishes.on_conflict,
        adopt=wishes.adopt,
        only=wishes.only,
        replaces_cleanup=declaration.replaces_cleanup,
    )
    return Look(declaration, wishes, chosen, tables)


def write(seen: Look, *, holder: str, using: str, now: datetime) -> Look:
    """Apply the plan as the holder of the lock, after a second look under it; return what was done.

    Where nothing is to do nothing is written, the lock neither. Raises LockHeld, Overtaken, DatabaseError.
    """
    if not seen.plan.writes:
        return seen
    with lease.held(LOCK, holder=holder, ttl=LOCK_LIVES_FOR, reason=LOCK, using=using):
        again = look(seen.declaration, seen.wishes, using=using)
        agreed = {row.entry.name for row in seen.plan.delete}
        more = [row.entry.name for row in again.plan.delete if row.entry.name not in agreed]
        if more:
            raise Overtaken(names=", ".join(more))
        apply.apply(again.plan, stored=again.tables, using=using, now=now)
    return again
