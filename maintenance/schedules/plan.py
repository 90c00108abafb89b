"""What must happen to the tables so that they hold what is declared. Pure: no table is touched here.

A declared entry wins over an edit of a managed row, except that a row which a person disabled stays disabled.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .entries import Entry
from .stored import RETIRED, Row, Stored

Changes = Mapping[str, tuple[object, object]]


@dataclass(frozen=True)
class Update:
    """A managed row that differs: its key, what it shall hold, and {field: (old, new)}."""

    pk: int
    entry: Entry
    changes: Changes

    @property
    def enables(self) -> bool:
        """Whether the row comes back to life."""
        return "enabled" in self.changes


@dataclass(frozen=True)
class Conflict:
    """A declared entry whose name is taken by a row that is not ours."""

    name: str
    changes: Changes
    kind: str = "unmanaged"


@dataclass(frozen=True)
class Plan:
    """Every change, and what stays as it is."""

    create: tuple[Entry, ...] = ()
    update: tuple[Update, ...] = ()
    disable: tuple[Row, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    unchanged: int = 0
    foreign: tuple[str, ...] = ()
    """Names of rows that were made by others, in the admin say."""
    own: Mapping[str, str] = field(default_factory=dict)
    """Fingerprints to record, by name."""
    forget: tuple[str, ...] = ()
    """Names that we record as ours and that are neither declared nor in the table."""

    @property
    def touches_schedules(self) -> bool:
        """Whether beat must look again."""
        return bool(self.create or self.update or self.disable)


def diff(declared: Iterable[Entry], stored: Stored) -> Plan:
    """Return the plan that turns ``stored`` into ``declared``."""
    wanted = {entry.name: entry for entry in declared}
    updates, conflicts, own = [], [], {}
    for name, entry in wanted.items():
        row = stored.rows.get(name)
        changes = _changes(entry, row, stored.owned.get(name))
        if row is not None and name not in stored.owned and changes:
            conflicts.append(Conflict(name, changes))
            continue
        if row is not None and changes:
            updates.append(Update(row.pk, entry, changes))
        if stored.owned.get(name) != entry.fingerprint:
            own[name] = entry.fingerprint
    gone = [stored.rows[name] for name in stored.owned if name not in wanted and name in stored.rows]
    disable = [row for row in gone if row.enabled and stored.owned[row.entry.name] != RETIRED]
    create = tuple(entry for name, entry in wanted.items() if name not in stored.rows)
    return Plan(
        create=create,
        update=tuple(updates),
        disable=tuple(disable),
        conflicts=tuple(conflicts),
        unchanged=len(wanted) - len(create) - len(updates) - len(conflicts),
        foreign=tuple(name for name in stored.rows if name not in wanted and name not in stored.owned),
        own=own | {row.entry.name: RETIRED for row in disable},
        forget=tuple(name for name in stored.owned if name not in wanted and name not in stored.rows),
    )


def _changes(entry: Entry, row: Row | None, fingerprint: str | None) -> Changes:
    if row is None:
        return {}
    changes = row.entry.changes_to(entry)
    if fingerprint == RETIRED and not row.enabled:
        changes["enabled"] = (False, True)
    return changes
