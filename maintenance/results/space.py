"""Giving the space of deleted results back."""

from dataclasses import dataclass

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ..errors import MaintenanceError
from .tables import tables


class InTransaction(MaintenanceError):
    """VACUUM cannot run inside a transaction of the database {using!r}."""


@dataclass(frozen=True)
class Freed:
    """How many bytes there were before and after: of the whole file on SQLite, elsewhere of the results' tables."""

    before_bytes: int
    after_bytes: int

    @property
    def won_bytes(self) -> int:
        """How many bytes the system has back. What a server keeps for new rows is not counted."""
        return max(0, self.before_bytes - self.after_bytes)


def blocks_writers(using: str | None = None) -> bool:
    """Return whether nobody can write while the space is given back."""
    return connections[tables(using).tasks.db].vendor == "sqlite"


def vacuum(using: str | None = None) -> Freed:
    """Give freed space back: VACUUM (on SQLite incremental where it is set so), on MySQL OPTIMIZE.

    Raises AppNotInstalled, InTransaction.
    """
    given = tables(using)
    connection = connections[given.tasks.db]
    if connection.in_atomic_block:
        raise InTransaction(using=connection.alias)
    names = [rows.model._meta.db_table for rows in given]
    before = _size(connection, names)
    for statement in _statements(connection, [connection.ops.quote_name(name) for name in names]):
        with connection.cursor() as cursor:
            # On SQLite as a script: execute() ends an incremental vacuum after its first page.
            (cursor.executescript if connection.vendor == "sqlite" else cursor.execute)(statement)
    return Freed(before, _size(connection, names))


def _statements(connection: BaseDatabaseWrapper, names: list[str]) -> list[str]:
    if connection.vendor == "sqlite":
        # In WAL mode the file itself shrinks with the checkpoint.
        incremental = _number(connection, "PRAGMA auto_vacuum") == 2
        return ["PRAGMA incremental_vacuum" if incremental else "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"]
    if connection.vendor == "postgresql":
        return [f"VACUUM (ANALYZE) {name}" for name in names]
    return [f"OPTIMIZE TABLE {name}" for name in names]


def _size(connection: BaseDatabaseWrapper, names: list[str]) -> int:
    if connection.vendor == "sqlite":
        return _number(connection, "PRAGMA page_count") * _number(connection, "PRAGMA page_size")
    if connection.vendor == "postgresql":
        return sum(_number(connection, "SELECT pg_total_relation_size(%s::regclass)", f'"{name}"') for name in names)
    # Its sizes are estimates, as old as the last look.
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE TABLE {', '.join(map(connection.ops.quote_name, names))}")
        cursor.fetchall()
    size = "SELECT data_length + index_length FROM information_schema.tables"
    return sum(_number(connection, f"{size} WHERE table_schema = DATABASE() AND table_name = %s", n) for n in names)


def _number(connection: BaseDatabaseWrapper, statement: str, *values: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        row = cursor.fetchone()
    return int(row[0] or 0) if row else 0
