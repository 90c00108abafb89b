"""Databases of every engine for the tests of backups: filled, written to, and restored with the engine's own tools."""

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from django.db import connections

from tests.servers import MariaDB, Postgres


class Live(Protocol):
    """A database that is an alias of DATABASES."""

    alias: str
    engine: str
    settings: dict[str, Any]

    def connect(self) -> Any:
        """Return a DB-API connection of our own, in autocommit mode."""

    def restored(self, plain: Path) -> "Callable[[str], list[Any]]":
        """Restore a plain dump with the engine's own tools; return what answers queries about it."""

    def let_in(self, user: str, password: str) -> None:
        """Make ``user`` an owner of everything, with a password that the server asks for."""

    def cut(self, admin: Any) -> int:
        """End every other connection to the database; return how many."""


@contextmanager
def configured(alias: str, **settings: Any) -> Iterator[None]:
    """Add an alias to DATABASES for a block."""
    connections.databases[alias] = {**connections.databases["default"], "OPTIONS": {}, **settings}
    try:
        yield
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.databases[alias]


class SQLite:
    """A SQLite file."""

    engine = "sqlite"

    def __init__(self, path: Path, *, alias: str = "archive", wal: bool = True) -> None:
        self.path, self.alias = path, alias
        connection = self.connect()
        connection.execute(f"PRAGMA journal_mode={'wal' if wal else 'delete'}")
        connection.close()
        self.settings = {"ENGINE": "django.db.backends.sqlite3", "NAME": path}

    def connect(self) -> Any:
        return sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)

    def restored(self, plain: Path) -> Callable[[str], list[Any]]:
        return lambda query: sqlite3.connect(plain).execute(query).fetchall()

    def let_in(self, user: str, password: str) -> None:
        raise NotImplementedError

    def cut(self, admin: Any) -> int:
        raise NotImplementedError


class PostgreSQL:
    """A database on a private server."""

    engine = "postgresql"

    def __init__(self, server: Postgres, name: str, *, alias: str = "archive") -> None:
        self.server, self.name, self.alias = server, name, alias
        self.ask(f'CREATE DATABASE "{name}"', "postgres")
        self.settings = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            "USER": "postgres",
            "HOST": "127.0.0.1",
            "PORT": str(server.port),
        }

    def connect(self, name: str = "") -> Any:
        import psycopg

        where = f"host=127.0.0.1 port={self.server.port} user=postgres"
        return psycopg.connect(f"{where} dbname={name or self.name}", autocommit=True)

    def restored(self, plain: Path) -> Callable[[str], list[Any]]:
        name = f"{self.name}_restored"
        self.ask(f'DROP DATABASE IF EXISTS "{name}"', "postgres")
        self.ask(f'CREATE DATABASE "{name}"', "postgres")
        tool = Path(self.server.psql).with_name("pg_restore")
        where = ["-h", "127.0.0.1", "-p", str(self.server.port), "-U", "postgres", "-d", name]
        subprocess.run([tool, "--exit-on-error", *where, plain], check=True, capture_output=True)
        return lambda query: self.ask(query, name)

    def let_in(self, user: str, password: str) -> None:
        from psycopg import sql

        hba = self.server.log.parent / "data" / "pg_hba.conf"
        if "scram" not in hba.read_text():
            lines = ["host all postgres 127.0.0.1/32 trust", "local all all trust"]
            hba.write_text("\n".join([*lines, "host all all 127.0.0.1/32 scram-sha-256\n"]))
            self.ask("SELECT pg_reload_conf()", "postgres")
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(user)))
            make = sql.SQL("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}")
            connection.execute(make.format(sql.Identifier(user), sql.Literal(password)))

    def cut(self, admin: Any) -> int:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        return len(admin.execute(others, [self.name]).fetchall())

    def ask(self, query: str, name: str) -> list[Any]:
        """Return the rows of a query to the database ``name``."""
        with self.connect(name) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []


class Maria:
    """A database on a private server."""

    engine = "mysql"

    def __init__(self, server: MariaDB, name: str, *, alias: str = "archive") -> None:
        self.server, self.name, self.alias = server, name, alias
        server.sql(f"DROP DATABASE IF EXISTS `{name}`; CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        self.settings = {
            "ENGINE": "django.db.backends.mysql",
            "NAME": name,
            "USER": "root",
            "HOST": "127.0.0.1",
            "PORT": str(server.port),
        }

    def connect(self, name: str = "") -> Any:
        import MySQLdb

        return MySQLdb.connect(
            host="127.0.0.1", port=self.server.port, user="root", database=name or self.name, autocommit=True
        )

    def restored(self, plain: Path) -> Callable[[str], list[Any]]:
        name = f"{self.name}_restored"
        self.server.sql(f"DROP DATABASE IF EXISTS `{name}`; CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        connect = ["--no-defaults", f"--socket={self.server.socket}", "--user=root", name]
        with plain.open("rb") as dump:
            subprocess.run([str(self.server.client), *connect], check=True, stdin=dump, capture_output=True)
        return lambda query: self.ask(query, name)

    def let_in(self, user: str, password: str) -> None:
        connection = self.connect()
        cursor = connection.cursor()
        for host in ("127.0.0.1", "localhost"):
            cursor.execute(f"CREATE OR REPLACE USER '{user}'@'{host}' IDENTIFIED BY %s", [password])
            cursor.execute(f"GRANT ALL ON *.* TO '{user}'@'{host}'")
        connection.close()

    def cut(self, admin: Any) -> int:
        cursor = admin.cursor()
        cursor.execute(
            "SELECT id FROM information_schema.processlist WHERE db = %s AND id <> CONNECTION_ID()", [self.name]
        )
        found = [row[0] for row in cursor.fetchall()]
        for number in found:
            cursor.execute(f"KILL {int(number)}")
        return len(found)

    def ask(self, query: str, name: str) -> list[Any]:
        """Return the rows of a query to the database ``name``."""
        connection = self.connect(name)
        cursor = connection.cursor()
        cursor.execute(query)
        rows = list(cursor.fetchall())
        connection.close()
        return rows


def run(connection: Any, *statements: str) -> None:
    """Execute statements."""
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()


def prepare(live: Live, *, rows: int = 2000, migrated: bool = False) -> None:
    """Make the tables that the tests write to, ``bulk`` with some rows, and a few migrations."""
    connection = live.connect()
    key = "id INTEGER PRIMARY KEY" if live.engine == "sqlite" else "id SERIAL PRIMARY KEY"
    run(connection, *(f"CREATE TABLE {name} ({key}, n INTEGER)" for name in ("one", "two")))
    run(connection, "CREATE TABLE bulk (id INTEGER PRIMARY KEY, text TEXT)")
    text = "repeat('0123456789abcdef', 20)" if live.engine != "sqlite" else "hex(randomblob(160))"
    many = {"postgresql": f"SELECT g, {text} FROM generate_series(1, {rows}) g"}  # noqa: S608 - ours
    counting = (
        f"WITH RECURSIVE c(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM c WHERE g < {rows}) "  # noqa: S608 - ours
        f"SELECT g, {text} FROM c"
    )
    many |= {"sqlite": counting, "mysql": f"SELECT seq, {text} FROM seq_1_to_{rows}"}  # noqa: S608 - ours
    run(connection, f"INSERT INTO bulk {many[live.engine]}")
    if not migrated:
        day = "'2026-01-01 00:00:00'"
        line_end = "\\\\n" if live.engine == "mysql" else "\\n"
        run(
            connection,
            f"CREATE TABLE django_migrations ({key}, app VARCHAR(255), name VARCHAR(255), applied TIMESTAMP)",
            f"INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0001_initial', {day}), "  # noqa: S608
            f"('shop', '0002_it''s {line_end} \"odd\"; ok', {day}), ('a,b', '0009_x', {day})",
        )
    connection.close()


def unpacked(stored: Path, plain: Path) -> Path:
    """Decompress a stored backup with the command-line tool."""
    assert shutil.which("zstd")
    subprocess.run(["zstd", "-q", "-f", "-d", stored, "-o", plain], check=True)
    return plain


def content(live: Any, name: str = "") -> str:
    """Return the whole database (or the one called ``name`` beside it) as its own dump program writes it."""
    if live.engine == "sqlite":
        connection = live.connect()
        text = "\n".join(connection.iterdump())
        connection.close()
        return text
    if live.engine == "postgresql":
        tool = Path(live.server.psql).with_name("pg_dump")
        args = [tool, "-h", "127.0.0.1", "-p", str(live.server.port), "-U", "postgres", name or live.name]
    else:
        flags = ["--skip-dump-date", "--routines", "--events", "--triggers", "--hex-blob", "--order-by-primary"]
        args = ["mariadb-dump", "--no-defaults", f"--socket={live.server.socket}", "-uroot", *flags, name or live.name]
    dump = subprocess.run(args, check=True, capture_output=True, text=True).stdout
    lines = (line for line in dump.splitlines() if line and not line.startswith(("--", "\\restrict", "\\unrestrict")))
    return "\n".join(lines)
