"""What a restored database holds, and whether that is what was backed up."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from maintenance.units import counted

from .errors import Damaged
from .manifest import Manifest


class Broken(Exception):
    """A dump that its engine cannot read; the message says why."""


class Refused(Exception):
    """A dump that a server did not take; the message says why. Either may be at fault."""


@dataclass(frozen=True)
class Found:
    """A restored database: rows by table, the applied migrations (app, name), and what is odd but no damage."""

    tables: Mapping[str, int]
    migrations: frozenset[tuple[str, str]] = frozenset()
    warnings: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """All rows of all tables."""
        return sum(self.tables.values())

    def compare(self, backup: Manifest) -> None:
        """Raise Damaged, which tells the first differences, unless this is what the manifest says."""
        differences = [*self._in_tables(backup), *self._in_migrations(backup)]
        if differences:
            more = f" and {counted(len(differences) - 3, 'other difference')}" if len(differences) > 3 else ""
            raise Damaged(id=backup.id, reason=f"restored, {'; '.join(differences[:3])}{more}")

    def _in_tables(self, backup: Manifest) -> list[str]:
        if backup.tables is None:
            return []
        lacks = [f"table {name!r} is missing" for name in backup.tables if name not in self.tables]
        extra = [f"table {name!r} is there too" for name in self.tables if name not in backup.tables]
        other = [
            f"table {name!r} has {counted(self.tables[name], 'row')} instead of {rows}"
            for name, rows in backup.tables.items()
            if name not in backup.excluded and self.tables.get(name, rows) != rows
        ]
        return [*lacks, *extra, *other]

    def _in_migrations(self, backup: Manifest) -> list[str]:
        heads = [(app, name) for app, names in backup.migrations.items() for name in names]
        return [f"migration {app}.{name} is not applied" for app, name in heads if (app, name) not in self.migrations]
