"""What shall happen to the tables so that they hold what is declared, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .entries import Entry
from .stored import Record, Row

Changes = Mapping[str, tuple[object, object]]
Prune = Literal["disable", "delete", "keep"]
OnConflict = Literal["code", "db", "error"]


@dataclass(frozen=True)
class Update:
    """A row that differs: its key, what it shall hold, and {field: (old, new)}."""

    pk: int
    entry: Entry
    changes: Changes
    adopted: bool = False


@dataclass(frozen=True)
class Conflict:
    """A declared entry whose row is not ours (``unmanaged``), or was changed by a person (``edited``)."""

    name: str
    changes: Changes
    kind: Literal["unmanaged", "edited"] = "unmanaged"


@dataclass(frozen=True)
class Plan:
    """Every change, and what stays as it is."""

    create: tuple[Entry, ...] = ()
    update: tuple[Update, ...] = ()
    disable: tuple[Row, ...] = ()
    delete: tuple[Row, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    unchanged: int = 0
    foreign: tuple[str, ...] = ()
    """Names of rows that were made by others, in the admin say."""
    own: Mapping[str, Record] = field(default_factory=dict)
    """What to remember, by name."""
    forget: tuple[str, ...] = ()
    """Names that we record as ours and that are neither declared nor in the table any more."""

    @property
    def pending(self) -> bool:
        """Whether a schedule would change, so that beat must look again."""
        return bool(self.create or self.update or self.disable or self.delete)

    @property
    def writes(self) -> bool:
        """Whether anything would be written, be it only what we remember."""
        return bool(self.pending or self.own or self.forget)
