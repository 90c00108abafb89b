"""How a SQLite database is opened, and what is in it."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

# Indexes and generated columns may use Django's own SQL functions: without them checks and deletes fail.
from django.db.backends.sqlite3._functions import register  # type: ignore[import-untyped] # not in its stubs

from maintenance.backups.errors import DatabaseInMemory


def path_of(alias: str, settings: Mapping[str, Any]) -> tuple[Path, str]:
    """Return the file of a DATABASES entry and the URI that opens it. Raises DatabaseInMemory."""
    text = str(settings["NAME"])
    if not text or ":memory:" in text or "mode=memory" in text:
        raise DatabaseInMemory(alias=alias)
    is_uri = text.startswith("file:")
    path = Path(unquote(urlsplit(text).path) if is_uri else text).absolute()
    # mode=rw never creates a file; mode=ro could not open a WAL database that nobody has open.
    return path, text if is_uri else f"{path.as_uri()}?mode=rw"


@contextmanager
def opened(file: Path | str, *, timeout: float = 0, other_thread: bool = False) -> Iterator[sqlite3.Connection]:
    """Open an existing database by its path or URI, with Django's functions and without implicit transactions."""
    uri = f"{file.as_uri()}?mode=rw" if isinstance(file, Path) else file
    same = not other_thread
    with closing(
        sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=same)
    ) as connection:
        register(connection)
        yield connection


def tables(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Return the names of the tables, without SQLite's own and without virtual ones.

    Those may need modules that only the application loads; their content is in ordinary shadow tables.
    """
    query = "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    rows = connection.execute(f"{query} AND sql NOT LIKE 'create virtual%' ORDER BY name")
    return tuple(row[0] for row in rows)


def rows_by_table(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the number of rows of each table."""
    # A table's name cannot be a parameter; these come from the database itself, and are quoted.
    query = "SELECT count(*) FROM {}"
    return {name: connection.execute(query.format(quoted(name))).fetchone()[0] for name in tables(connection)}


def applied_migrations(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the applied migrations (app, name); none where Django never migrated."""
    if "django_migrations" not in tables(connection):
        return []
    return [(app, name) for app, name in connection.execute("SELECT app, name FROM django_migrations")]


def quoted(name: str) -> str:
    """Return a name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'
