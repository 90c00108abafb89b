"""PostgreSQL, the way back: pg_restore into a scratch database, or as a script that psql runs in one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db import connections

from maintenance import pipes
from maintenance.backups import streams
from maintenance.backups.errors import DatabaseBusy, NameTaken, RestoreFailed
from maintenance.backups.found import Broken, Found, Refused
from maintenance.backups.job import Commit, Job
from maintenance.process import Command

from . import contents, scratch
from .connection import Server, applied_migrations, connected, quoted, rows_by_table, tables
from .script import Relay, Script
from .tools import find

_PSQL: Final = ("--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--output=/dev/null")
_RESTORE: Final = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", "--no-password")


def decode(job: Job, *, using: str) -> tuple[str, ...]:
    """Let pg_restore read all of a dump; return nothing odd. See job.Reader."""
    with connected(using, connections[using]) as server:
        program = find("pg_restore", server=server.major).path
    try:
        _pass(job, Command((program, "--file=/dev/null"), env={"LC_ALL": "C"}))
    except Refused as error:
        raise Broken(str(error)) from error
    return ()


def drill(job: Job, *, using: str) -> Found:
    """Restore into a scratch database, look, and remove it. Raises PrivilegeMissing; see job.Reader."""
    with connected(using, connections[using]) as server, scratch.database(server, using) as name:
        return _fill(job, server, name, using)


def beside(job: Job, *, name: str, using: str) -> Found:
    """Restore into the new database ``name``. Raises NameTaken, PrivilegeMissing; see job.Reader."""
    with connected(using, connections[using]) as server:
        if scratch.exists(server, name):
            raise NameTaken(name=name)
        with scratch.created(server, name, using):
            found = _fill(job, server, name, using)
            found.compare(job.backup)
            return found


@contextmanager
def over(job: Job, *, alias: str) -> Iterator[Commit]:
    """Read the whole dump; its Commit then restores in one transaction, which drops what we own before.

    Rows are counted in that transaction, and it ends only when all bytes have come and been compared; whatever fails,
    the server rolls it back. See job.Reader. The Commit raises RestoreFailed.
    """
    decode(job, using=alias)

    def commit() -> Found:
        connections[alias].close()
        with connected(alias, connections[alias]) as server:
            _replace(job, server, alias)
        return Found(job.backup.tables or {})

    yield commit


def recover(*, alias: str) -> str:
    """Do nothing: the server rolls a killed restore back."""
    return ""


def _fill(job: Job, server: Server, name: str, using: str) -> Found:
    program = find("pg_restore", server=server.major)
    with connected(using, connections[using], database=name) as inside:
        _pass(job, inside.reach.command(program.path, f"--dbname={name}", *_RESTORE, folder=job.folder))
        there = tables(inside.cursor)
        versions = {"server": server.version_text, "tool": program.version}
        rows, applied = rows_by_table(inside.cursor, there), applied_migrations(inside.cursor, there)
        return Found(rows, frozenset(applied), versions=versions)


def _replace(job: Job, server: Server, alias: str) -> None:
    """Run the dump's script in psql, between a beginning of ours and a check of ours."""
    restore, psql = (find(name, server=server.major).path for name in ("pg_restore", "psql"))
    wanted = contents.listed(job, restore)
    chosen = streams.create(job.folder / "list")
    chosen.write_text(wanted.without(contents.there(server.cursor)), "utf-8")
    owner = () if contents.may_give_away(server.cursor) else ("--no-owner",)
    args = (restore, "--file=-", "--single-transaction", "--no-subscriptions", f"--use-list={chosen}", *owner)
    role = f"SET ROLE {quoted(server.reach.role)};\n" if server.reach.role else ""
    run = server.reach.command(psql, *_PSQL, folder=job.folder)
    relay = Relay()
    try:
        with pipes.running(run, feed=True, waiting=relay.check) as target:
            target.write(f"{role}{contents.beginning(wanted.schemas)}".encode())
            script = Script(target.write)
            with pipes.running(Command(args, env={"LC_ALL": "C"}), feed=True, waiting=relay.check) as source:
                relay.run(source, script.write, lambda: job.feed(source.write))
            # All bytes have come, and are those that were stored: only now the transaction may end.
            script.finish(contents.check(job.backup))
    except pipes.ProgramFailed as error:
        said = str(error.facts["said"])
        if "lock timeout" in said:
            raise DatabaseBusy(where=alias, seconds=contents.PATIENCE) from error
        raise RestoreFailed(where=alias, reason=said) from error


def _pass(job: Job, command: Command) -> None:
    try:
        with pipes.running(command, feed=True, waiting=_nothing) as program:
            job.feed(program.write)
    except pipes.ProgramFailed as error:
        raise Refused(str(error.facts["said"])) from error


def _nothing() -> None:
    """Wait on."""
