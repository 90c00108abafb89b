"""Databases of ours on a PostgreSQL server: made for a while, or to stay; leftovers of killed runs are dropped."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db.utils import ProgrammingError

from maintenance.backups.errors import PrivilegeMissing

from .connection import Server, quoted

PREFIX: Final = "maintenance_scratch_"
_INSUFFICIENT_PRIVILEGE: Final = "42501"


@contextmanager
def database(server: Server, alias: str) -> Iterator[str]:
    """Give a new, empty database for the length of a block. Raises PrivilegeMissing."""
    sweep(server)
    name = f"{PREFIX}{secrets.token_hex(6)}"
    # Held by our connection: whoever sweeps sees by it that the database is in use.
    _lock(server, name)
    create(server, name, alias)
    try:
        yield name
    finally:
        server.cursor.execute(f"DROP DATABASE {quoted(name)} WITH (FORCE)")


@contextmanager
def created(server: Server, name: str, alias: str) -> Iterator[None]:
    """Create a database; drop it again when the block fails. Raises PrivilegeMissing."""
    create(server, name, alias)
    try:
        yield
    except BaseException:
        server.cursor.execute(f"DROP DATABASE {quoted(name)} WITH (FORCE)")
        raise


def create(server: Server, name: str, alias: str) -> None:
    """Create an empty database with the encoding and the locale of the one that we are in. Raises PrivilegeMissing."""
    server.cursor.execute(
        "SELECT pg_encoding_to_char(encoding), datcollate, datctype, current_user FROM pg_catalog.pg_database "
        "WHERE datname = current_database()"
    )
    encoding, collate, ctype, user = server.cursor.fetchone()
    how = f"TEMPLATE template0 ENCODING {_text(encoding)} LC_COLLATE {_text(collate)} LC_CTYPE {_text(ctype)}"
    try:
        server.cursor.execute(f"CREATE DATABASE {quoted(name)} {how}")
    except ProgrammingError as error:
        if getattr(error.__cause__, "sqlstate", None) != _INSUFFICIENT_PRIVILEGE:
            raise
        cure = f"Run `ALTER ROLE {quoted(user)} CREATEDB` as a superuser, or set BACKUPS.SCRATCH to another alias."
        raise PrivilegeMissing(user=user, what="create databases (CREATEDB)", where=alias, cure=cure) from error


def exists(server: Server, name: str) -> bool:
    """Return whether there is a database of this name."""
    server.cursor.execute("SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", [name])
    return server.cursor.fetchone() is not None


def sweep(server: Server) -> int:
    """Drop the scratch databases of killed runs; return how many."""
    server.cursor.execute(
        "SELECT datname FROM pg_catalog.pg_database WHERE starts_with(datname, %s) "
        "AND pg_catalog.pg_has_role(datdba, 'USAGE')",
        [PREFIX],
    )
    swept = 0
    for (name,) in server.cursor.fetchall():
        if _lock(server, name):
            server.cursor.execute(f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)")
            server.cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [name])
            swept += 1
    return swept


def _lock(server: Server, name: str) -> bool:
    server.cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name])
    return bool(server.cursor.fetchone()[0])


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
