"""MariaDB and MySQL, the way back: the client loads the dump into a database of ours, which takes the live place."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from django.db import connections

from maintenance import pipes
from maintenance.backups.errors import NameTaken, RestoreFailed, RestoreRuns
from maintenance.backups.found import Broken, Found, Refused
from maintenance.backups.job import Commit, Job
from maintenance.backups.unpack import Sink

from . import schemas
from .connection import Server, connected, quoted
from .events import WithoutEvents
from .swap import Swap
from .tools import find

_CLIENT: Final = ("--batch", "--default-character-set=utf8mb4", "--max-allowed-packet=1G")
_TRAILER: Final = b"\n-- Dump completed"
# How long the lock of another restore is waited for, in seconds: it may be one that has just ended.
_PATIENCE: Final = 3


def decode(job: Job, *, using: str) -> tuple[str, ...]:
    """Read all of a dump; it must come to its end. See job.Reader."""
    end = b""

    def look(piece: bytes) -> None:
        nonlocal end
        end = (end + piece)[-256:]

    job.feed(look)
    if _TRAILER not in end:
        raise Broken("its last line does not say that it is complete")
    return ()


def drill(job: Job, *, using: str) -> Found:
    """Restore into a scratch database, without its events, look, and remove it. Raises PrivilegeMissing."""
    with connected(using, connections[using]) as server, schemas.database(server) as name:
        _load(job, server, name)
        return _look(server, name)


def beside(job: Job, *, name: str, using: str) -> Found:
    """Restore into the new database ``name``, without its events. Raises NameTaken, PrivilegeMissing."""
    with connected(using, connections[using]) as server:
        if schemas.exists(server, name):
            raise NameTaken(name=name)
        with schemas.created(server, name):
            _load(job, server, name)
            found = _look(server, name)
            found.compare(job.backup)
            return found


@contextmanager
def over(job: Job, *, alias: str) -> Iterator[Commit]:
    """Load the dump into a database of ours and compare it; its Commit puts that in the live one's place. See swap.

    Raises RestoreRuns, PrivilegeMissing; see job.Reader. The Commit raises DatabaseBusy, RestoreFailed,
    RestoreUnfinished.
    """
    with connected(alias, connections[alias]) as server:
        swap = _claimed(server, alias)
        swap.recover()
        _require_alone(server, swap)
        schemas.create(server, swap.new)
        try:
            events = _load(job, server, swap.new)
            found = _look(server, swap.new)
            found.compare(job.backup)

            def commit() -> Found:
                connections[alias].close()
                swap.run(events)
                return found

            yield commit
        finally:
            # After a commit it is gone; after one that was left half way it belongs to whoever finishes it.
            if not schemas.exists(server, swap.old):
                schemas.drop(server, swap.new)


def recover(*, alias: str) -> str:
    """Finish or revert a restore that was killed. Raises RestoreRuns, RestoreUnfinished."""
    with connected(alias, connections[alias]) as server:
        return _claimed(server, alias).recover()


def _claimed(server: Server, alias: str) -> Swap:
    live = server.reach.database

    def run_events(section: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            try:
                _run(server, live, Path(folder), lambda write: write(section))
            except pipes.ProgramFailed as error:
                raise RestoreFailed(where=live, reason=error.facts["said"]) from error

    if not schemas.lock(server, schemas.beside(live, "restore"), patience=_PATIENCE):
        raise RestoreRuns(alias=alias)
    return Swap(server, live, run_events)


def _require_alone(server: Server, swap: Swap) -> None:
    """Raise RestoreFailed where a table of another database refers to one of ours: it would go with the old ones."""
    server.cursor.execute(
        "SELECT DISTINCT table_schema, table_name FROM information_schema.key_column_usage "
        "WHERE referenced_table_schema = %s AND table_schema <> %s LIMIT 1",
        [swap.live, swap.live],
    )
    other = server.cursor.fetchone()
    if other:
        reason = f"a foreign key of {other[0]}.{other[1]} refers to it"
        raise RestoreFailed(where=swap.live, reason=reason)


def _load(job: Job, server: Server, name: str) -> bytes:
    """Let the client load a dump, and return the section of its events, which it does not get."""
    kept: list[bytes] = []

    def feed(write: Sink) -> None:
        events = WithoutEvents(write)
        job.feed(events.write)
        events.finish()
        kept.append(events.section)

    try:
        _run(server, name, job.folder, feed)
    except pipes.ProgramFailed as error:
        raise Refused(str(error.facts["said"])) from error
    return kept[0]


def _run(server: Server, name: str, folder: Path, feed: Callable[[Sink], object]) -> None:
    tool = find("client", mariadb=server.is_mariadb)
    command = server.reach.command(tool.path, *_CLIENT, name, mariadb=tool.is_mariadb, folder=folder)
    with pipes.running(command, feed=True, waiting=lambda: None) as client:
        feed(client.write)


def _look(server: Server, name: str) -> Found:
    cursor = server.cursor
    cursor.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s "
        "AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY table_name",
        [name],
    )
    counts: dict[str, int] = {}
    for table in [str(row[0]) for row in cursor.fetchall()]:
        cursor.execute(f"SELECT COUNT(*) FROM {quoted(name)}.{quoted(table)}")  # noqa: S608
        counts[table] = int(cursor.fetchone()[0])
    applied: list[tuple[str, str]] = []
    if "django_migrations" in counts:
        cursor.execute(f"SELECT app, name FROM {quoted(name)}.django_migrations")  # noqa: S608
        applied = list(cursor.fetchall())
    return Found(counts, frozenset(applied), versions={"server": server.version})
