"""Fixtures for every test."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from django.core.management import CommandError, call_command
from django.db import connections

# Django 6 wants addresses only.
ADMINS: list[Any] = ["ann@example.com" if django.VERSION >= (6,) else ("Ann", "ann@example.com")]
Outcome = tuple[str, str, int]


@pytest.fixture
def run() -> Callable[..., Outcome]:
    """Run a management command in this process and return the whole (stdout, stderr, exit code)."""

    def runner(name: str, *args: str, **options: Any) -> Outcome:
        out, err = io.StringIO(), io.StringIO()
        code = 0
        try:
            call_command(name, *args, stdout=out, stderr=err, no_color=True, **options)
        except CommandError as error:
            err.write(f"CommandError: {error}\n")
            code = error.returncode
        except SystemExit as error:
            code = int(error.code or 0)
        return out.getvalue(), err.getvalue(), code

    return runner


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Add SQLite files to DATABASES for the length of a test: ``sqlite_file(alias)`` returns the file's path."""
    added: list[str] = []

    def add(alias: str) -> Path:
        path = tmp_path / f"{alias}.sqlite3"
        path.touch()
        default = connections.databases["default"]
        is_sqlite = default["ENGINE"].endswith("sqlite3")
        ours = {} if is_sqlite else {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {}}
        connections.databases[alias] = {**default, **ours, "NAME": path}
        added.append(alias)
        return path

    yield add
    for alias in added:
        del connections[alias]
        del connections.databases[alias]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long forms out unless SOAK=1 asks for them."""
    if os.environ.get("SOAK") != "1":
        skip = pytest.mark.skip(reason="long form: make soak")
        for item in items:
            if "soak" in item.keywords:
                item.add_marker(skip)
