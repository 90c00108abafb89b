"""MariaDB and MySQL: their dump program in one transaction, with its last line required."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from django.db.backends.base.base import BaseDatabaseWrapper

from maintenance import pipes
from maintenance.backups.engines.source import Contents, Dump, heads, matching
from maintenance.backups.errors import DumpCutShort, DumpFailed, ExcludeUnsupported
from maintenance.backups.pulse import Pulse
from maintenance.process import Command

from .connection import Reach, connected, tables
from .stream import Told
from .tools import Tool, find

ENGINE: Final = "mysql"
_FLAGS: Final = (
    # One snapshot, and no locks: writers go on (measured: without it they waited 4 s, with it 13 ms).
    "--single-transaction",
    "--quick",
    "--skip-lock-tables",
    "--hex-blob",
    "--routines",
    "--triggers",
    "--events",
    "--default-character-set=utf8mb4",
    # A row may be larger than the 24 MB that it would allow.
    "--max-allowed-packet=1G",
)
# Tablespaces need a privilege that an application has not; the others stop MySQL's program before MariaDB's servers.
_MYSQL_FLAGS: Final = ("--no-tablespaces", "--set-gtid-purged=OFF", "--column-statistics=0")


@dataclass(frozen=True)
class Source:
    """A MariaDB or MySQL database, and the dump program that fits its server."""

    alias: str
    tool: Tool
    size_bytes: int
    server: str
    label: str
    warnings: tuple[str, ...]
    connection: BaseDatabaseWrapper = field(repr=False)
    engine: str = ENGINE
    scratch_bytes: int = 0

    @contextmanager
    def dump(self, *, folder: Path, exclude: Sequence[str], pulse: Pulse) -> Iterator[Dump]:
        """See engines.source.Source. Raises DumpFailed, DumpCutShort, ExcludeUnsupported, DatabaseUnreachable."""
        with connected(self.alias, self.connection) as server:
            there = tables(server.cursor)
            reach = server.reach
        excluded = matching(list(there), exclude)
        if excluded and not self.tool.is_mariadb:
            raise ExcludeUnsupported(tool=self.tool.path)
        program = command(self.tool, reach, exclude=excluded, folder=folder)

        def contents() -> Contents:
            if not told.ended:
                raise DumpCutShort(alias=self.alias, program=self.tool.path)
            versions = {"server": self.server, "tool": self.tool.version}
            return Contents(None, versions, heads(told.migrations), excluded, self.warnings)

        try:
            with pipes.running(program, waiting=pulse) as running:
                told = Told(running.chunks())
                yield Dump(iter(told), contents, self.size_bytes)
        except pipes.ProgramFailed as error:
            raise DumpFailed(alias=self.alias, **error.facts) from error


def source(alias: str, connection: BaseDatabaseWrapper) -> Source:
    """Return the database of a connection's settings. Raises LoginRefused, DatabaseUnreachable, ToolMissing."""
    with connected(alias, connection) as server:
        there = tables(server.cursor)
        server.cursor.execute(
            "SELECT CAST(COALESCE(SUM(data_length), 0) AS UNSIGNED) FROM information_schema.tables "
            "WHERE table_schema = DATABASE()"
        )
        size = int(server.cursor.fetchone()[0])
        tool = find("dump", mariadb=server.is_mariadb)
        warnings = _not_transactional(alias, there)
        return Source(alias, tool, size, server.version, server.label, warnings, connection)


def command(tool: Tool, reach: Reach, *, exclude: Sequence[str], folder: Path) -> Command:
    """Return the dump program to run: its flags are those that this maker's program knows."""
    flags = (*_FLAGS, *(() if tool.is_mariadb else _MYSQL_FLAGS))
    left_out = (f"--ignore-table-data={reach.database}.{name}" for name in exclude)
    return reach.command(tool.path, *flags, *left_out, "--", reach.database, mariadb=tool.is_mariadb, folder=folder)


def _not_transactional(alias: str, there: dict[str, str]) -> tuple[str, ...]:
    others = [f"{name} ({engine})" for name, engine in there.items() if engine and engine.lower() != "innodb"]
    if not others:
        return ()
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    return (
        f"{alias!r} has tables that no transaction covers: {', '.join(others[:3])}{more}. Rows written to them "
        "meanwhile may be half in the backup. Cure: ALTER TABLE … ENGINE=InnoDB.",
    )
