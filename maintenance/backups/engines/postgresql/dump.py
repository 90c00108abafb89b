"""PostgreSQL: pg_dump in an exported snapshot, whose rows are counted meanwhile."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import OperationalError

from maintenance import pipes
from maintenance.backups.engines.aside import aside
from maintenance.backups.engines.source import Contents, Dump, heads, matching
from maintenance.backups.errors import DumpFailed
from maintenance.backups.pulse import Pulse
from maintenance.process import Command

from .connection import LABEL, Reach, Server, Table, applied_migrations, connected, rows_by_table, tables, unreachable
from .tools import Tool, find

ENGINE: Final = "postgresql"


@dataclass(frozen=True)
class Source:
    """A PostgreSQL database, and the pg_dump that fits its server."""

    alias: str
    tool: Tool
    size_bytes: int
    server: str
    connection: BaseDatabaseWrapper = field(repr=False)
    engine: str = ENGINE
    label: str = LABEL
    scratch_bytes: int = 0
    warnings: tuple[str, ...] = ()

    @contextmanager
    def dump(self, *, folder: Path, exclude: Sequence[str], pulse: Pulse) -> Iterator[Dump]:
        """See engines.source.Source. Raises DumpFailed, DatabaseUnreachable."""
        with connected(self.alias, self.connection) as server:
            snapshot = _snapshot(server.cursor)
            there = tables(server.cursor)
            excluded = [table for table in there if table in matching(there, exclude)]
            program = command(self.tool.path, server.reach, snapshot=snapshot, exclude=excluded, folder=folder)
            counting = aside(lambda: self._contents(server, there, excluded), stop=server.cancel, waiting=pulse)
            try:
                with counting as contents, pipes.running(program, waiting=pulse) as running:
                    yield Dump(running.chunks(), contents, self.size_bytes)
            except pipes.ProgramFailed as error:
                raise DumpFailed(alias=self.alias, **error.facts) from error

    def _contents(self, server: Server, there: list[Table], excluded: list[Table]) -> Contents:
        try:
            rows = rows_by_table(server.cursor, [table for table in there if table not in excluded])
            applied = applied_migrations(server.cursor, there)
        except OperationalError as error:
            raise unreachable(self.alias, error) from error
        return Contents(
            tables={str(table): rows.get(table, 0) for table in there},
            versions={"server": server.version_text, "tool": self.tool.version},
            migrations=heads(applied),
            excluded=tuple(map(str, excluded)),
        )


def source(alias: str, connection: BaseDatabaseWrapper) -> Source:
    """Return the database of a connection's settings.

    Raises LoginRefused, DatabaseUnreachable, ToolMissing, ToolTooOld.
    """
    with connected(alias, connection) as server:
        server.cursor.execute(
            "SELECT coalesce(sum(pg_catalog.pg_table_size(oid)), 0)::bigint FROM pg_catalog.pg_class "
            "WHERE relkind IN ('r', 'm') AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)'"
        )
        size: int = server.cursor.fetchone()[0]
        return Source(alias, find("pg_dump", server=server.major), size, server.version_text, connection)


def command(program: str, reach: Reach, *, snapshot: str, exclude: Sequence[Table], folder: Path) -> Command:
    """Return the pg_dump to run. Its output is not compressed: we do that, better."""
    args = [program, "--format=custom", "--compress=0", "--no-password", f"--snapshot={snapshot}"]
    if reach.role:
        args.append(f"--role={reach.role}")
    args += [f"--exclude-table-data={table.quoted}" for table in exclude]
    return reach.command(*args, folder=folder)


def _snapshot(cursor: Any) -> str:
    """Begin the transaction whose state is dumped; return what others know its snapshot by."""
    cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    for limit in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        cursor.execute(f"SET LOCAL {limit} = 0")
    # A row that a policy hides is an error here, as it is to pg_dump, not a row less.
    cursor.execute("SET LOCAL row_security = off")
    cursor.execute("SELECT pg_catalog.pg_export_snapshot()")
    name: str = cursor.fetchone()[0]
    return name
