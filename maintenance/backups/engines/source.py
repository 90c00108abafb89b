"""What an engine offers: a source of data, which dumps itself as a stream."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from maintenance.backups.pulse import Pulse


@dataclass(frozen=True)
class Contents:
    """What a dump holds, as its own snapshot told; see the manifest's fields of the same names."""

    tables: Mapping[str, int] | None
    versions: Mapping[str, str]
    migrations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    excluded: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dump:
    """A dump at work: its bytes, about how many, and (once they are read to their end) what they hold."""

    chunks: Iterator[bytes]
    contents: Callable[[], Contents]
    size_bytes: int | None = None


class Source(Protocol):
    """Data that can be backed up."""

    @property
    def alias(self) -> str:
        """Its name: of a database, or of a storage."""

    @property
    def engine(self) -> str:
        """The engine, as manifests call it."""

    @property
    def label(self) -> str:
        """The engine, as people call it."""

    @property
    def size_bytes(self) -> int | None:
        """About how large a dump is; None when nobody knows."""

    @property
    def scratch_bytes(self) -> int:
        """How much of it lies uncompressed in the staging folder meanwhile."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What its operator should know before."""

    def dump(self, *, folder: Path, exclude: Sequence[str], pulse: Pulse) -> AbstractContextManager[Dump]:
        """Dump it as it is at one moment; ``folder`` is private and thrown away.

        The rows of the tables that match a glob of ``exclude`` are left out. Raises MaintenanceErrors.
        """


def matching(names: Sequence[str], globs: Sequence[str]) -> tuple[str, ...]:
    """Return the names that match one of the globs (case matters)."""
    return tuple(name for name in names if any(fnmatchcase(name, glob) for glob in globs))


def heads(applied: Sequence[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return the last of the applied migrations (app, name) of each app: those with the highest number.

    Told by the names alone, so that it is the same for a database whose code is not at hand.
    """
    by_app: dict[str, list[str]] = {}
    for app, name in applied:
        by_app.setdefault(app, []).append(name)
    found = {}
    for app, names in sorted(by_app.items()):
        last = max(_number(name) for name in names)
        found[app] = tuple(sorted(name for name in names if _number(name) == last)) if last else (max(names),)
    return found


def _number(name: str) -> int:
    digits = name.partition("_")[0]
    return int(digits) if digits.isascii() and digits.isdigit() else 0
