"""SQLite, the way back: a file is unpacked and read, then copied into the live database through SQLite itself."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from django.db import connections

from maintenance.backups import streams
from maintenance.backups.errors import DatabaseBusy, NameTaken, RestoreFailed
from maintenance.backups.found import Broken, Found
from maintenance.backups.job import Commit, Job
from maintenance.backups.pulse import Watch

from .connection import applied_migrations, opened, path_of, rows_by_table

_PAGES: Final = 1000
# How long a writer of the live database is waited for: as long as anybody has to wait for SQLite's own lock, and more.
_PATIENCE: Final = 30.0


def decode(job: Job, *, using: str) -> tuple[str, ...]:
    """Unpack a backup and let SQLite read all of it; return what is odd. ``using`` is not used."""
    return _check(_unpack(job))


def drill(job: Job, *, using: str) -> Found:
    """Restore a backup into a file of the job's folder. ``using`` is not used."""
    return _look(_unpack(job))


def beside(job: Job, *, name: str, using: str) -> Found:
    """Restore a backup into the new file ``name``, which appears when it is whole. Raises NameTaken."""
    target = Path(name).absolute()
    if target.exists():
        raise NameTaken(name=str(target))
    part = target.with_name(f".{target.name}.{job.backup.id}")
    try:
        found = _look(_unpack(job, part))
        found.compare(job.backup)
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)
    return found


@contextmanager
def over(job: Job, *, alias: str) -> Iterator[Commit]:
    """Unpack a backup and compare it with its manifest; then give the way to copy it over the live database.

    The live file itself is never replaced: who has it open sees the new content. It is one transaction of SQLite's, so
    that a kill leaves the old content. Its Commit raises DatabaseBusy, RestoreFailed: nothing has changed then.
    """
    live, uri = path_of(alias, connections[alias].settings_dict)
    new = _unpack(job)
    found = _look(new)
    found.compare(job.backup)

    def commit() -> Found:
        connections[alias].close()
        _copy(new, live if live.exists() else streams.create(live), uri, job.watch)
        return found

    yield commit


def recover(*, alias: str) -> str:
    """Do nothing: SQLite itself rolls a killed restore back."""
    return ""


def _unpack(job: Job, path: Path | None = None) -> Path:
    path = path or job.folder / "unpacked"
    with streams.create(path).open("wb") as file, streams.behind(file.write) as sink:
        job.feed(sink)
    return path


def _check(path: Path) -> tuple[str, ...]:
    try:
        with opened(path) as database:
            found = [row[0] for row in database.execute("PRAGMA integrity_check(3)")]
            orphans = len(database.execute("PRAGMA foreign_key_check").fetchall())
    except sqlite3.Error as error:
        raise Broken(str(error)) from error
    if found != ["ok"]:
        raise Broken("; ".join(found))
    # The database itself may have been so: then the backup is faithful.
    return (f"rows that refer to missing rows: {orphans}",) if orphans else ()


def _look(path: Path) -> Found:
    warnings = _check(path)
    with opened(path) as database:
        return Found(rows_by_table(database), frozenset(applied_migrations(database)), warnings)


def _copy(new: Path, live: Path, uri: str, watch: Watch) -> None:
    try:
        with opened(new) as source, opened(uri) as target:
            _fit_pages(source, target)
            source.backup(target, pages=_PAGES, progress=_patience(source, live, watch), sleep=0.05)
            target.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.Error as error:
        raise RestoreFailed(where=str(live), reason=str(error)) from error


def _patience(source: sqlite3.Connection, live: Path, watch: Watch) -> Callable[[int, int, int], None]:
    """Return what backup() calls at each step. By itself it would try a locked database for ever."""
    page: int = source.execute("PRAGMA page_size").fetchone()[0]
    moved = time.monotonic()

    def stepped(status: int, remaining: int, total: int) -> None:
        nonlocal moved
        if status not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            moved = time.monotonic()
            watch("restore", (total - remaining) * page, total * page)
        elif time.monotonic() - moved > _PATIENCE:
            raise DatabaseBusy(where=str(live), seconds=f"{_PATIENCE:g}")

    return stepped


def _fit_pages(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Give the unpacked database the page size of the live one, which cannot change in WAL mode."""
    if not target.execute("PRAGMA page_count").fetchone()[0]:
        return
    ours, theirs = (each.execute("PRAGMA page_size").fetchone()[0] for each in (source, target))
    if ours != theirs:
        source.execute("PRAGMA journal_mode=DELETE").fetchall()
        source.execute(f"PRAGMA page_size={int(theirs)}")
        source.execute("VACUUM")
