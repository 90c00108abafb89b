"""How PostgreSQL is reached: by Django's settings, and by its client programs in exactly the same way."""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import OperationalError

from maintenance.backups import streams
from maintenance.backups.errors import DatabaseUnreachable, LoginRefused
from maintenance.process import Command

LABEL: Final = "PostgreSQL"
_SERVICE: Final = "maintenance"
# The programs use the database's own encoding; and where the server is has been found out already.
_LEFT_OUT: Final = ("client_encoding", "service", "servicefile", "passfile", "fallback_application_name")
# libpq has no code for what goes wrong before a session begins, only the server's words.
_LOGIN_REFUSED: Final = re.compile(
    r"authentication failed|no password supplied|role \".*\" (does not exist|is not permitted)|no pg_hba\.conf entry"
)


class Table(str):
    """A table's name as manifests have it: ``name`` in the schema public, else ``schema.name``."""

    __slots__ = ("quoted",)

    quoted: str
    """The name as SQL takes it, and as pg_dump's patterns take it literally."""

    def __new__(cls, schema: str, name: str) -> "Table":
        """Name a table."""
        table = super().__new__(cls, name if schema == "public" else f"{schema}.{name}")
        table.quoted = f"{quoted(schema)}.{quoted(name)}"
        return table


@dataclass(frozen=True)
class Reach:
    """How a client program reaches the server that a connection of ours reached: libpq's parameters and secrets."""

    parameters: Mapping[str, str]
    variables: Mapping[str, str]
    """The environment variable of each parameter that has one."""
    secrets: Mapping[str, str] = field(repr=False)
    """Parameters that nobody may see; the password among them."""
    role: str = ""

    def command(self, *args: str, folder: Path) -> Command:
        """Return a client program that reaches it: everything is in its environment, nothing in its arguments.

        Parameters without a variable go into a file of the private ``folder``.
        """
        env = {self.variables[key]: value for key, value in self.parameters.items() if key in self.variables}
        env |= {"LC_ALL": "C", "PGAPPNAME": "maintenance"}
        rest = {key: value for key, value in {**self.parameters, **self.secrets}.items() if key not in self.variables}
        if rest:
            env |= {"PGSERVICE": _SERVICE, "PGSERVICEFILE": str(_service_file(folder, rest))}
        secrets = {self.variables[key]: value for key, value in self.secrets.items() if key in self.variables}
        without = tuple(name for name in ("PGSERVICE", "PGPASSWORD") if name not in {**env, **secrets})
        return Command(args, env=env, secrets=secrets, without=without, hidden=tuple(self.secrets.values()))


@dataclass(frozen=True)
class Server:
    """A connection of our own, beside Django's, and what client programs need to reach the same server."""

    cursor: Any
    version: int
    reach: Reach
    cancel: Callable[[], None]
    """Ends the statement that another thread waits for."""

    @property
    def major(self) -> int:
        """The major version."""
        return self.version // 10000

    @property
    def version_text(self) -> str:
        """The version as people write it."""
        return f"{self.major}.{self.version % 10000}"


@contextmanager
def connected(alias: str, connection: BaseDatabaseWrapper, *, database: str | None = None) -> Iterator[Server]:
    """Connect as Django does, to ``database`` or its own one. Raises LoginRefused, DatabaseUnreachable."""
    settings = copy.deepcopy(connection.settings_dict)
    settings["OPTIONS"].pop("pool", None)
    if database is not None:
        settings["NAME"] = database
    own: Any = type(connection)(settings, alias)
    try:
        try:
            own.ensure_connection()
        except OperationalError as error:
            raise unreachable(alias, error) from error
        info = own.connection.info
        reach = _reach(info, settings["OPTIONS"].get("assume_role") or "")
        with own.cursor() as cursor:
            yield Server(cursor, info.server_version, reach, own.connection.cancel)
    finally:
        own.close()


def unreachable(alias: str, error: OperationalError) -> DatabaseUnreachable:
    """Return the narrowest error for what the server, or the way to it, answered."""
    said = " ".join(str(error).split())
    return (LoginRefused if _LOGIN_REFUSED.search(said) else DatabaseUnreachable)(alias=alias, reason=said)


def tables(cursor: Any) -> list[Table]:
    """Return the tables whose rows a dump holds, without partitioned parents and what belongs to extensions."""
    cursor.execute(
        """
        SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname <> 'information_schema'
          AND n.nspname !~ '^pg_' AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
              AND d.deptype = 'e')
        ORDER BY 1, 2
        """
    )
    return [Table(schema, name) for schema, name in cursor.fetchall()]


def rows_by_table(cursor: Any, of: "list[Table]") -> dict[str, int]:
    """Return the number of rows of each table, without those of its children."""
    counts = {}
    for table in of:
        cursor.execute(f"SELECT count(*) FROM ONLY {table.quoted}")  # noqa: S608 - quoted, and from the catalog
        counts[str(table)] = cursor.fetchone()[0]
    return counts


def applied_migrations(cursor: Any, of: "list[Table]") -> list[tuple[str, str]]:
    """Return the applied migrations (app, name); none where Django never migrated."""
    table = next((table for table in of if table == "django_migrations"), None)
    table = table or next((table for table in of if table.endswith(".django_migrations")), None)
    if table is None:
        return []
    cursor.execute(f"SELECT app, name FROM {table.quoted}")  # noqa: S608 - quoted, and from the catalog
    return list(cursor.fetchall())


def quoted(name: str) -> str:
    """Return a name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


def _reach(info: Any, role: str) -> Reach:
    from psycopg import pq

    known = {option.keyword.decode(): option for option in pq.Conninfo.get_defaults()}
    variables = {key: option.envvar.decode() for key, option in known.items() if option.envvar}
    given = {key: value for key, value in info.get_parameters().items() if key not in _LEFT_OUT}
    hidden = {key for key in given if known[key].dispchar == b"*"}
    # Of several hosts, this is the one that answered: a snapshot is known there only.
    given |= {"host": info.host, "port": str(info.port), "user": info.user, "dbname": info.dbname}
    given.pop("hostaddr", None)
    secrets = {"password": info.password, **{key: given[key] for key in hidden}}
    parameters = {key: value for key, value in given.items() if key not in hidden}
    return Reach(parameters, variables, {key: value for key, value in secrets.items() if value}, role)


def _service_file(folder: Path, parameters: Mapping[str, str]) -> Path:
    file = streams.create(folder / "service")
    lines = [f"[{_SERVICE}]", *(f"{key}={value}" for key, value in parameters.items())]
    file.write_text("\n".join(lines) + "\n")
    return file
