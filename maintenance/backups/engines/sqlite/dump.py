"""SQLite: a consistent copy of a live database through its online backup API."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

# Indexes and generated columns may use Django's own SQL functions: without them the check of the copy fails.
from django.db.backends.sqlite3._functions import register  # type: ignore[import-untyped] # not in its stubs

from maintenance.backups.errors import CopyDamaged, DatabaseInMemory, DatabaseMissing, SnapshotFailed

ENGINE: Final = "sqlite"
_PAGES: Final = 1000


@dataclass(frozen=True)
class Source:
    """A SQLite database file: how it is opened, how long a lock is waited for (seconds), and its size."""

    alias: str
    path: Path
    uri: str
    timeout: float
    size_bytes: int


@dataclass(frozen=True)
class Snapshot:
    """What a copy holds: rows by table, and what made it."""

    tables: Mapping[str, int]
    versions: Mapping[str, str]


def source(alias: str, settings: Mapping[str, Any]) -> Source:
    """Return the database of a DATABASES entry. Raises DatabaseInMemory, DatabaseMissing."""
    name = settings["NAME"]
    text = str(name)
    if not text or ":memory:" in text or "mode=memory" in text:
        raise DatabaseInMemory(alias=alias)
    is_uri = text.startswith("file:")
    path = Path(unquote(urlsplit(text).path) if is_uri else text).absolute()
    if not path.is_file():
        raise DatabaseMissing(alias=alias, path=str(path))
    # mode=rw never creates a file; mode=ro could not open a WAL database that nobody has open.
    uri = text if is_uri else f"{path.as_uri()}?mode=rw"
    timeout = float(settings.get("OPTIONS", {}).get("timeout", 5.0))
    return Source(alias, path, uri, timeout, path.stat().st_size)


def snapshot(source: Source, target: Path, *, beat: Callable[[], None]) -> Snapshot:
    """Copy ``source`` as it is at one moment into the existing, empty file ``target``, and check the copy.

    ``beat`` is called now and then where the database can be written meanwhile (WAL).
    Raises SnapshotFailed, CopyDamaged.
    """
    try:
        with _open(source.uri, source.timeout) as live, _open(f"{target.as_uri()}?mode=rw", 0) as copy:
            # A journal for a copy that is thrown away when anything fails would be written in vain.
            copy.execute("PRAGMA journal_mode=OFF")
            copy.execute("PRAGMA synchronous=OFF")
            _copy(live, copy, beat)
        # Reopened: what is checked is what is in the file.
        with _open(f"{target.as_uri()}?mode=rw", 0) as copy:
            register(copy)
            _check(source.alias, copy)
            return Snapshot(rows_by_table(copy), {"sqlite": sqlite3.sqlite_version})
    except sqlite3.Error as error:
        raise SnapshotFailed(alias=source.alias, reason=error) from error


def _copy(live: sqlite3.Connection, copy: sqlite3.Connection, beat: Callable[[], None]) -> None:
    in_wal = live.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    # The open read transaction pins one state: without it every commit of a writer restarts the copy from page 1.
    live.execute("BEGIN")
    live.execute("SELECT count(*) FROM sqlite_master").fetchone()
    # In the other journal modes writers wait for the end of the copy, and so would the renewal of our own lease.
    live.backup(copy, pages=_PAGES, progress=(lambda *_: beat()) if in_wal else None)
    live.execute("ROLLBACK")


def _check(alias: str, copy: sqlite3.Connection) -> None:
    found = [row[0] for row in copy.execute("PRAGMA quick_check(3)")]
    if found != ["ok"]:
        raise CopyDamaged(alias=alias, reason="; ".join(found))


def rows_by_table(copy: sqlite3.Connection) -> dict[str, int]:
    """Return the rows of each table."""
    # Virtual tables may need modules that only the application loads; their content is in ordinary shadow tables.
    query = "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    names = [row[0] for row in copy.execute(f"{query} AND sql NOT LIKE 'create virtual%' ORDER BY name")]
    # A table's name cannot be a parameter; these come from the copy itself, and are quoted.
    return {name: copy.execute(f"SELECT count(*) FROM {_quoted(name)}").fetchone()[0] for name in names}  # noqa: S608


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _open(uri: str, timeout: float) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None)) as connection:
        yield connection
