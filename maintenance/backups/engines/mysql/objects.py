"""Triggers, views, routines and events of a database: read as statements, dropped, and made again elsewhere."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from django.db.utils import DatabaseError, OperationalError, ProgrammingError

from maintenance.backups.found import Refused

from .connection import quoted

_UTF8: Final = ("utf8", "utf8mb3", "utf8mb4")
_LISTS: Final = {
    "TRIGGER": "SELECT 'TRIGGER', trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE() "
    "ORDER BY event_object_table, action_timing, event_manipulation, action_order",
    "ROUTINE": "SELECT routine_type, routine_name FROM information_schema.routines WHERE routine_schema = DATABASE() "
    "ORDER BY routine_type, routine_name",
    "VIEW": "SELECT 'VIEW', table_name FROM information_schema.views WHERE table_schema = DATABASE()",
    "EVENT": "SELECT 'EVENT', event_name FROM information_schema.events WHERE event_schema = DATABASE()",
}
# What a view needs is not there yet: a table (another view), a routine, or what it refers to is a broken view.
_MISSING: Final = (1146, 1305, 1356)


@dataclass(frozen=True)
class Definition:
    """How an object is made, and the session that its statement was written for."""

    kind: str
    name: str
    sql: str
    charset: str
    collation: str
    mode: str | None = None

    def facts(self) -> dict[str, Any]:
        """Return it as JSON-able facts."""
        return asdict(self)

    def encoded(self) -> bytes:
        """Return the statement in its own character set. Raises Refused."""
        if self.charset in _UTF8 or self.sql.isascii():
            return self.sql.encode()
        if self.charset == "latin1":
            return self.sql.encode("cp1252")
        raise Refused(f"{self.kind.lower()} {self.name!r} is written in the character set {self.charset}")


def listed(cursor: Any, *kinds: str) -> list[tuple[str, str]]:
    """Return (kind, name) of the objects of the database that ``cursor`` is in."""
    found: list[tuple[str, str]] = []
    for kind in kinds:
        cursor.execute(_LISTS[kind])
        found += [(str(each), str(name)) for each, name in cursor.fetchall()]
    return found


def read(cursor: Any, *kinds: str) -> list[Definition]:
    """Return how the objects of the database that ``cursor`` is in are made. Raises Refused where we may not see."""
    found = []
    for kind, name in listed(cursor, *kinds):
        cursor.execute(f"SHOW CREATE {kind} {quoted(name)}")
        row = dict(zip((column[0] for column in cursor.description), cursor.fetchone(), strict=True))
        found.append(_definition(kind, name, row))
        found[-1].encoded()
    return found


def drop(cursor: Any, *kinds: str) -> None:
    """Drop the objects of the database that ``cursor`` is in."""
    for kind, name in listed(cursor, *kinds):
        if kind != "PACKAGE BODY":
            cursor.execute(f"DROP {kind} IF EXISTS {quoted(name)}")


def make(cursor: Any, definitions: Iterable[Definition]) -> None:
    """Make objects in the database that ``cursor`` is in; views wait for each other. Raises DatabaseError."""
    waiting = list(definitions)
    while waiting:
        left, last = [], None
        for each in waiting:
            try:
                _make(cursor, each)
            except (OperationalError, ProgrammingError) as error:
                if each.kind != "VIEW" or error.args[0] not in _MISSING:
                    raise
                left.append(each)
                last = error
        if last is not None and len(left) == len(waiting):
            raise DatabaseError(*last.args) from last
        waiting = left


def _make(cursor: Any, each: Definition) -> None:
    cursor.execute(f"DROP {each.kind} IF EXISTS {quoted(each.name)}")
    # The text was read as what this connection speaks; it is sent as what it was written in.
    cursor.execute("SET @mode = @@sql_mode, @client = @@character_set_client, @collation = @@collation_connection")
    if each.mode is not None:
        cursor.execute("SET SESSION sql_mode = %s", [each.mode])
    cursor.execute(f"SET character_set_client = {each.charset}, collation_connection = {each.collation}")
    try:
        cursor.execute(each.encoded())
    finally:
        cursor.execute(
            "SET SESSION sql_mode = @mode, character_set_client = @client, collation_connection = @collation"
        )


def _definition(kind: str, name: str, row: Mapping[str, Any]) -> Definition:
    sql = row.get("SQL Original Statement") or next(
        (value for column, value in row.items() if column.startswith("Create ") and value), None
    )
    if not sql:
        raise Refused(f"this user may not see how {kind.lower()} {name!r} is made")
    mode = row.get("sql_mode")
    return Definition(kind, name, str(sql), str(row["character_set_client"]), str(row["collation_connection"]), mode)
