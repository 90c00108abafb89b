"""Databases of ours on a MariaDB or MySQL server: made for a while, or to stay; what killed runs left is dropped."""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db.utils import OperationalError, ProgrammingError

from maintenance.backups.errors import PrivilegeMissing

from .connection import Server, quoted

SCRATCH: Final = "maintenance_scratch_"
_LONGEST: Final = 64
# Access denied to a database; command denied.
_DENIED: Final = (1044, 1142, 1227)


def beside(name: str, word: str) -> str:
    """Return the name of the database of ours that belongs to ``name``: ``maintenance_<word>_<name>``."""
    whole = f"maintenance_{word}_{name}"
    return whole if len(whole) <= _LONGEST else f"maintenance_{word}_{hashlib.sha256(name.encode()).hexdigest()[:16]}"


@contextmanager
def database(server: Server) -> Iterator[str]:
    """Give a new, empty database for the length of a block. Raises PrivilegeMissing."""
    sweep(server)
    name = f"{SCRATCH}{secrets.token_hex(6)}"
    # Held by our connection: whoever sweeps sees by it that the database is in use.
    lock(server, name)
    create(server, name)
    try:
        yield name
    finally:
        drop(server, name)


@contextmanager
def created(server: Server, name: str) -> Iterator[None]:
    """Create a database; drop it again when the block fails. Raises PrivilegeMissing."""
    create(server, name)
    try:
        yield
    except BaseException:
        drop(server, name)
        raise


def create(server: Server, name: str) -> None:
    """Create an empty database with the character set of the one that we are in. Raises PrivilegeMissing."""
    server.cursor.execute("SELECT @@character_set_database, @@collation_database, CURRENT_USER()")
    charset, collation, user = server.cursor.fetchone()
    try:
        server.cursor.execute(f"CREATE DATABASE {quoted(name)} CHARACTER SET {charset} COLLATE {collation}")
    except (OperationalError, ProgrammingError) as error:
        if error.args[:1] and error.args[0] in _DENIED:
            cure = f"Run `GRANT ALL ON `maintenance\\_%`.* TO {user}` as an administrator, or set BACKUPS.SCRATCH."
            raise PrivilegeMissing(user=user, what="create databases", where=name, cure=cure) from error
        raise


def drop(server: Server, name: str) -> None:
    """Drop a database of ours, if it is there."""
    server.cursor.execute("SET SESSION foreign_key_checks = 0")
    server.cursor.execute(f"DROP DATABASE IF EXISTS {quoted(name)}")
    server.cursor.execute("SET SESSION foreign_key_checks = 1")


def exists(server: Server, name: str) -> bool:
    """Return whether there is a database of this name."""
    server.cursor.execute("SELECT 1 FROM information_schema.schemata WHERE schema_name = %s", [name])
    return server.cursor.fetchone() is not None


def sweep(server: Server) -> int:
    """Drop the scratch databases of killed runs; return how many."""
    server.cursor.execute(
        "SELECT schema_name FROM information_schema.schemata WHERE LEFT(schema_name, %s) = %s", [len(SCRATCH), SCRATCH]
    )
    swept = 0
    for (name,) in server.cursor.fetchall():
        if lock(server, name):
            drop(server, name)
            server.cursor.execute("DO RELEASE_LOCK(%s)", [name])
            swept += 1
    return swept


def lock(server: Server, name: str, *, patience: int = 0) -> bool:
    """Take the server's lock of this name until our connection ends; return False when another has it.

    Where another connection has just ended, its locks last a moment longer: ``patience`` is in seconds.
    """
    server.cursor.execute("SELECT GET_LOCK(%s, %s)", [name, patience])
    return bool(server.cursor.fetchone()[0])
