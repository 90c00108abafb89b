"""How MariaDB and MySQL are reached: by Django's settings, and by their client programs in the same way."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import OperationalError

from maintenance.backups import streams
from maintenance.backups.errors import DatabaseUnreachable, LoginRefused
from maintenance.process import Command

# Access denied for user; for user to database; authentication plugin.
_LOGIN_REFUSED: Final = (1045, 1044, 1698)
_VERIFYING: Final = ("VERIFY_CA", "VERIFY_IDENTITY")


@dataclass(frozen=True)
class Reach:
    """What Django's connection was made with, as far as client programs need it."""

    parameters: Mapping[str, Any] = field(repr=False)

    @property
    def database(self) -> str:
        """The database's name."""
        return str(self.parameters.get("database", ""))

    def options(self, *, mariadb: bool) -> dict[str, str]:
        """Return the options of the group [client], by their names in an option file of either maker."""
        given = self.parameters
        names = {"user": "user", "password": "password", "host": "host", "port": "port", "unix_socket": "socket"}
        found = {name: str(given[key]) for key, name in names.items() if given.get(key)}
        tls: Mapping[str, Any] = given["ssl"] if isinstance(given.get("ssl"), Mapping) else {}
        found |= {f"ssl-{key}": str(tls[key]) for key in ("ca", "capath", "cert", "key", "cipher") if tls.get(key)}
        mode = str(given.get("ssl_mode") or "").upper()
        if mode and not mariadb:
            found["ssl-mode"] = mode
        elif mode == "DISABLED":
            found["skip-ssl"] = ""
        elif mode:
            found["ssl"] = ""
            if mode in _VERIFYING:
                found["ssl-verify-server-cert"] = ""
        return found

    def command(self, program: str, *args: str, mariadb: bool, folder: Path) -> Command:
        """Return a client program that reaches the server; its secrets are in a file of the private ``folder``.

        No other option file is read: Django reads none either, and a ~/.my.cnf would win over ours.
        """
        file = folder / "client.cnf"
        if not file.exists():
            included = self.parameters.get("read_default_file")
            lines = [f"!include {Path(included).expanduser()}"] if included else []
            lines += ["[client]", *(_line(*option) for option in self.options(mariadb=mariadb).items())]
            streams.create(file).write_text("\n".join(lines) + "\n", "utf-8")
        env = {"LC_ALL": "C", "MYSQL_TEST_LOGIN_FILE": str(folder / "no-login-file")}
        hidden = (str(self.parameters.get("password") or ""),)
        return Command((program, f"--defaults-file={file}", *args), env=env, without=("MYSQL_PWD",), hidden=hidden)


@dataclass(frozen=True)
class Server:
    """A connection of our own, beside Django's, and what client programs need to reach the same server."""

    cursor: Any
    version: str
    is_mariadb: bool
    reach: Reach

    @property
    def label(self) -> str:
        """The maker's name of it."""
        return "MariaDB" if self.is_mariadb else "MySQL"


@contextmanager
def connected(alias: str, connection: BaseDatabaseWrapper, *, database: str | None = None) -> Iterator[Server]:
    """Connect as Django does, to ``database`` or its own one. Raises LoginRefused, DatabaseUnreachable."""
    settings = copy.deepcopy(connection.settings_dict)
    if database is not None:
        settings["NAME"] = database
        for key in ("db", "database"):
            settings["OPTIONS"].pop(key, None)
    own: Any = type(connection)(settings, alias)
    given = own.get_connection_params()
    old_names = {"database": given.get("db"), "password": given.get("passwd")}
    reach = Reach({**given, **{key: value for key, value in old_names.items() if value}})
    try:
        try:
            own.ensure_connection()
        except OperationalError as error:
            raise unreachable(alias, error) from error
        with own.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            version: str = cursor.fetchone()[0]
            yield Server(cursor, version, "mariadb" in version.lower(), reach)
    finally:
        own.close()


def unreachable(alias: str, error: OperationalError) -> DatabaseUnreachable:
    """Return the narrowest error for what the server, or the way to it, answered."""
    number, said = (*error.args, "", "")[:2]
    refused = number in _LOGIN_REFUSED
    return (LoginRefused if refused else DatabaseUnreachable)(alias=alias, reason=f"{said} ({number})")


def tables(cursor: Any) -> dict[str, str]:
    """Return the tables of the database with their storage engines, without views."""
    cursor.execute(
        "SELECT table_name, engine FROM information_schema.tables "
        "WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY table_name"
    )
    return {str(name): str(engine or "") for name, engine in cursor.fetchall()}


def quoted(name: str) -> str:
    """Return a name as SQL takes it."""
    return "`" + name.replace("`", "``") + "`"


def _line(name: str, value: str) -> str:
    """Return a line of an option file. https://mariadb.com/kb/en/configuring-mariadb-with-option-files/#option-file-syntax"""
    if not value:
        return name
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'{name}="{escaped}"'
