"""SQLite: a consistent copy of a live database through its online backup API."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.db.backends.base.base import BaseDatabaseWrapper

from maintenance.backups import streams
from maintenance.backups.engines.aside import aside
from maintenance.backups.engines.source import Contents, Dump, heads, matching
from maintenance.backups.errors import CopyDamaged, DatabaseMissing, SnapshotFailed
from maintenance.backups.pulse import Pulse
from maintenance.units import human_duration

from .connection import applied_migrations, opened, path_of, quoted, rows_by_table, tables

ENGINE: Final = "sqlite"
LABEL: Final = "SQLite"
_PAGES: Final = 1000
# What a copy is expected to do at least, in bytes a second: measured 400 MB/s on an idle machine.
_RATE: Final = 100_000_000


@dataclass(frozen=True)
class Source:
    """A SQLite database file: how it is opened, how long a lock is waited for (seconds), its size."""

    alias: str
    path: Path
    uri: str
    timeout: float
    size_bytes: int
    in_wal: bool
    engine: str = ENGINE
    label: str = LABEL

    @property
    def scratch_bytes(self) -> int:
        """The whole copy lies in the staging folder."""
        return self.size_bytes

    @property
    def warnings(self) -> tuple[str, ...]:
        """Outside of WAL writers wait for the whole copy."""
        expected = self.size_bytes / _RATE
        return () if self.in_wal or expected <= self.timeout else (_waiting(self.alias, expected, self.timeout),)

    @contextmanager
    def dump(self, *, folder: Path, exclude: Sequence[str], pulse: Pulse) -> Iterator[Dump]:
        """See engines.source.Source. Raises SnapshotFailed, CopyDamaged."""
        copy = streams.create(folder / "copy")
        try:
            with pulse.stage("copy", self.size_bytes):
                took = _copy(self, copy, pulse)
            copy, excluded = _stripped(copy, exclude)
            slow = not self.in_wal and took > self.timeout
            warnings = (_waiting(self.alias, took, self.timeout, was=True),) if slow else ()
            # Reopened: what is checked is what is in the file.
            with opened(copy, other_thread=True) as connection:
                checking = aside(lambda: _checked(self.alias, connection), stop=connection.interrupt, waiting=pulse)
                with checking as rows:

                    def contents() -> Contents:
                        tables = rows()
                        applied = heads(applied_migrations(connection))
                        return Contents(tables, {"server": sqlite3.sqlite_version}, applied, excluded, warnings)

                    yield Dump(streams.pieces(copy), contents, copy.stat().st_size)
        except sqlite3.Error as error:
            raise SnapshotFailed(alias=self.alias, reason=error) from error
        copy.unlink()


def source(alias: str, connection: BaseDatabaseWrapper) -> Source:
    """Return the database of a connection's settings; nothing is opened. Raises DatabaseInMemory, DatabaseMissing."""
    settings = connection.settings_dict
    path, uri = path_of(alias, settings)
    if not path.is_file():
        raise DatabaseMissing(alias=alias, path=str(path))
    timeout = float(settings.get("OPTIONS", {}).get("timeout", 5.0))
    with path.open("rb") as file:
        header = file.read(20)
    # The file format's read version is 2 in WAL mode. https://www.sqlite.org/fileformat.html#file_format_version_numbers
    return Source(alias, path, uri, timeout, path.stat().st_size, in_wal=header[19:20] == b"\2")


def _copy(source: Source, target: Path, pulse: Pulse) -> float:
    """Copy ``source`` as it is at one moment into the existing, empty file; return the seconds that it took."""
    with opened(source.uri, timeout=source.timeout) as live, opened(target) as copy:
        # A journal for a copy that is thrown away when anything fails would be written in vain.
        copy.execute("PRAGMA journal_mode=OFF")
        copy.execute("PRAGMA synchronous=OFF")
        in_wal = live.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        # In the other journal modes writers wait for the end of the copy, and so would the renewal of our own lease.
        live_on = pulse if in_wal else pulse.in_time
        page: int = live.execute("PRAGMA page_size").fetchone()[0]
        left: list[int] = []

        def progress(status: int, remaining: int, total: int) -> None:
            live_on(((left[-1] if left else total) - remaining) * page)
            left[:] = [remaining]

        began = time.monotonic()
        # The open read transaction pins one state: without it every commit of a writer restarts the copy from page 1.
        live.execute("BEGIN")
        live.execute("SELECT count(*) FROM sqlite_master").fetchone()
        live.backup(copy, pages=_PAGES, progress=progress)
        live.execute("ROLLBACK")
        return time.monotonic() - began


def _stripped(copy: Path, exclude: Sequence[str]) -> tuple[Path, tuple[str, ...]]:
    """Leave the rows of some tables out; return the file to store (the copy, or a new one) and their names."""
    if not exclude:
        return copy, ()
    with opened(copy) as connection:
        excluded = matching(tables(connection), exclude)
        _empty(connection, excluded)
        # Deleted rows are still to be read in the file's free pages.
        smaller = streams.create(copy.with_name("smaller"))
        connection.execute("VACUUM INTO ?", [str(smaller)])
    copy.unlink()
    return smaller, excluded


def _checked(alias: str, connection: sqlite3.Connection) -> dict[str, int]:
    """Check a copy and return its rows by table. Raises CopyDamaged."""
    found = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
    if found != ["ok"]:
        raise CopyDamaged(alias=alias, reason="; ".join(found))
    return rows_by_table(connection)


def _empty(connection: sqlite3.Connection, excluded: Sequence[str]) -> None:
    """Delete all rows of the tables, without their triggers."""
    for name in excluded:
        query = "SELECT name, sql FROM sqlite_master WHERE type='trigger' AND tbl_name=?"
        triggers = connection.execute(query, [name]).fetchall()
        for trigger, _ in triggers:
            connection.execute(f"DROP TRIGGER {quoted(trigger)}")
        connection.execute(f"DELETE FROM {quoted(name)}")  # noqa: S608 - quoted, and from the database itself
        for _, sql in triggers:
            connection.execute(sql)


def _waiting(alias: str, seconds: float, timeout: float, *, was: bool = False) -> str:
    took = human_duration(max(1, round(seconds)))
    wait = f"waited {took}" if was else f"will wait about {took}"
    return (
        f"{alias!r} is not in WAL mode: writers {wait} for the copy, and give up after {human_duration(timeout)}. "
        "Cure: PRAGMA journal_mode=WAL."
    )
