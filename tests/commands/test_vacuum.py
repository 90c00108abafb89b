"""vacuum, through its door, on a database in a file."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections

from maintenance import tasks
from maintenance.management import emptied
from tests.conftest import Outcome

Run = Callable[..., Outcome]
PAGES = 1000


@pytest.fixture
def file(sqlite_file: Callable[[str], Path], django_db_blocker: Any) -> Iterator[Path]:
    """A file of which 4 MB are free, behind the alias ``old``."""
    path = sqlite_file("old")
    with sqlite3.connect(path) as live:
        live.execute("CREATE TABLE entry (content BLOB)")
        live.executemany("INSERT INTO entry VALUES (zeroblob(4000))", [()] * PAGES)
        live.execute("DELETE FROM entry")
    live.close()
    with django_db_blocker.unblock():
        yield path
        connections["old"].close()


def test_it_asks_gives_the_space_back_and_says_how_much(run: Run, file: Path) -> None:
    size = file.stat().st_size
    refused = "CommandError: Not confirmed: nothing was changed. Answer y, or pass --noinput where nobody can answer.\n"
    assert run("vacuum", "--database=old") == ("", refused, 4)
    out = "Would vacuum 'old': 4.1 MB are in use, 4.1 MB of them free.\n"
    assert run("vacuum", "--database=old", "--dry-run") == (out, "", 0)
    assert file.stat().st_size == size
    assert run("vacuum", "--database=old", "--noinput") == (
        "Vacuumed 'old'. Won back 4.1 MB; 8.2 KB are in use.\n",
        "",
        0,
    )
    assert file.stat().st_size == 8192


def test_the_documents(run: Run, file: Path) -> None:
    out, err, code = run("vacuum", "--database=old", "--dry-run", "--json")
    before = file.stat().st_size
    assert (err, code) == ("", 0)
    assert list(json.loads(out).items()) == [
        ("schema_version", 1),
        ("dry_run", True),
        ("database", "old"),
        ("tables", []),
        ("before_bytes", before),
        ("free_bytes", before - 8192),
        ("blocks_writers", True),
    ]
    out, err, code = run("vacuum", "--database=old", "--noinput", "--json")
    assert (err, code) == ("", 0)
    assert list(json.loads(out).items()) == [
        ("schema_version", 1),
        ("dry_run", False),
        ("database", "old"),
        ("tables", []),
        ("before_bytes", before),
        ("after_bytes", 8192),
        ("won_back_bytes", before - 8192),
    ]


def test_somebody_who_writes_is_one_line(run: Run, file: Path) -> None:
    connections["old"].settings_dict["OPTIONS"] = {"timeout": 0.1}
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    err = (
        "CommandError: The database 'old' cannot be vacuumed: database is locked. Nothing was changed. "
        "It needs as much free disk again as it has in use, and on SQLite that nobody writes.\n"
    )
    assert run("vacuum", "--database=old", "--noinput") == ("", err, 69)
    other.close()


@pytest.mark.django_db(transaction=True)
def test_the_task_answers_in_json() -> None:
    answer = tasks.vacuum.apply().get()
    assert json.loads(json.dumps(answer)) == answer
    assert (answer["database"], "django_session" in answer["tables"]) == ("default", True)
    assert answer["won_back_bytes"] == answer["before_bytes"] - answer["after_bytes"] >= 0


@pytest.mark.django_db
def test_the_tables_are_those_that_maintenance_deletes_from(settings: Any) -> None:
    backend = "django.core.cache.backends.db.DatabaseCache"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": "entries"}}
    results = [f"django_celery_results_{name}" for name in ("chordcounter", "groupresult", "taskresult")]
    found = ("django_session", *results, "maintenance_dispatch")
    assert emptied.tables("default") == tuple(sorted(found))
    call_command("createcachetable", verbosity=0)
    assert emptied.tables("default") == tuple(sorted((*found, "entries")))
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    assert "django_session" not in emptied.tables("default")


def test_an_unknown_database_is_refused(run: Run) -> None:
    out, err, code = run("vacuum", "--database=other")
    assert (out, code) == ("", 2)
    assert err.startswith("CommandError: argument --database: invalid choice: 'other' (choose from 'default'")


@pytest.mark.django_db
def test_inside_a_transaction_it_is_refused(run: Run) -> None:
    err = "CommandError: VACUUM cannot run inside a transaction of the database 'default'.\n"
    assert run("vacuum", "--noinput") == ("", err, 1)
