"""The space that deleted rows leave behind: how much it is, and giving it back."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import OperationalError

from . import units
from .errors import MaintenanceError, Unavailable


class InTransaction(MaintenanceError):
    """VACUUM cannot run inside a transaction of the database {using!r}."""


class CannotVacuum(Unavailable):
    """The database {using!r} cannot be vacuumed: {reason}. Nothing was changed."""

    hint = "It needs as much free disk again as it has in use, and on SQLite that nobody writes."


@dataclass(frozen=True)
class Space:
    """How many bytes a database or its tables take; ``free_bytes`` of them hold nothing (None: it does not tell)."""

    bytes: int
    free_bytes: int | None


@dataclass(frozen=True)
class Freed:
    """How many bytes there were before and after: of the whole file on SQLite, elsewhere of ``tables``."""

    database: str
    tables: tuple[str, ...]
    before_bytes: int
    after_bytes: int

    @property
    def won_bytes(self) -> int:
        """How many bytes the system has back. What a server keeps for new rows is not counted."""
        return max(0, self.before_bytes - self.after_bytes)

    @property
    def words(self) -> str:
        """What was won, in a sentence."""
        return f"Won back {units.human_size(self.won_bytes)}; {units.human_size(self.after_bytes)} are in use."

    def facts(self) -> dict[str, Any]:
        """Return all of it as JSON takes it."""
        return {**asdict(self), "tables": list(self.tables), "won_back_bytes": self.won_bytes}


def blocks_writers(using: str) -> bool:
    """Return whether nobody can write while the space is given back."""
    return connections[using].vendor == "sqlite"


def present(tables: Sequence[str], *, using: str) -> tuple[str, ...]:
    """Return those of ``tables`` that the database has."""
    known = set(connections[using].introspection.table_names())
    return tuple(sorted(known.intersection(tables)))


def measure(tables: Sequence[str], *, using: str) -> Space:
    """Return what the tables take: on SQLite the whole file, which is what a vacuum makes smaller."""
    connection = connections[using]
    return Space(_size(connection, tables), _free(connection, tables))


def vacuum(tables: Sequence[str], *, using: str) -> Freed:
    """Give freed space back: VACUUM (on SQLite incremental where it is set so), on MySQL OPTIMIZE.

    Raises InTransaction, CannotVacuum.
    """
    connection = connections[using]
    if connection.in_atomic_block:
        raise InTransaction(using=using)
    before = _size(connection, tables)
    try:
        for statement in _statements(connection, [connection.ops.quote_name(name) for name in tables]):
            with connection.cursor() as cursor, connection.wrap_database_errors:
                # On SQLite as a script: execute() ends an incremental vacuum after its first page.
                (cursor.executescript if connection.vendor == "sqlite" else cursor.execute)(statement)
    except OperationalError as error:
        raise CannotVacuum(using=using, reason=str(error).strip().rstrip(".")) from error
    return Freed(using, tuple(tables), before, _size(connection, tables))


def _statements(connection: BaseDatabaseWrapper, names: list[str]) -> list[str]:
    if connection.vendor == "sqlite":
        # In WAL mode the file itself shrinks with the checkpoint.
        incremental = _number(connection, "PRAGMA auto_vacuum") == 2
        return ["PRAGMA incremental_vacuum" if incremental else "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"]
    if connection.vendor == "postgresql":
        return [f"VACUUM (ANALYZE) {name}" for name in names]
    return [f"OPTIMIZE TABLE {name}" for name in names]


def _size(connection: BaseDatabaseWrapper, names: Sequence[str]) -> int:
    if connection.vendor == "sqlite":
        return _number(connection, "PRAGMA page_count") * _number(connection, "PRAGMA page_size")
    if connection.vendor == "postgresql":
        return sum(_number(connection, "SELECT pg_total_relation_size(%s::regclass)", f'"{name}"') for name in names)
    _refresh(connection, names)
    return sum(_of_mysql(connection, "data_length + index_length", name) for name in names)


def _free(connection: BaseDatabaseWrapper, names: Sequence[str]) -> int | None:
    if connection.vendor == "sqlite":
        return _number(connection, "PRAGMA freelist_count") * _number(connection, "PRAGMA page_size")
    if connection.vendor == "postgresql":
        return None  # only an extension counts it
    return sum(_of_mysql(connection, "data_free", name) for name in names)


def _refresh(connection: BaseDatabaseWrapper, names: Sequence[str]) -> None:
    """Let MySQL look at its tables: its sizes are estimates, as old as the last look."""
    if not names:
        return
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE TABLE {', '.join(map(connection.ops.quote_name, names))}")
        cursor.fetchall()


def _of_mysql(connection: BaseDatabaseWrapper, columns: str, name: str) -> int:
    statement = f"SELECT {columns} FROM information_schema.tables"  # noqa: S608 - columns of ours
    return _number(connection, f"{statement} WHERE table_schema = DATABASE() AND table_name = %s", name)


def _number(connection: BaseDatabaseWrapper, statement: str, *values: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        row = cursor.fetchone()
    return int(row[0] or 0) if row else 0
