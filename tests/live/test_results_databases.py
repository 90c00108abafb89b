"""Purging and measuring results on real databases: SQLite in a file, PostgreSQL, MariaDB."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
import pytest
from django.core.management import call_command
from django.db import connections
from django.utils import timezone
from django_celery_results.models import GroupResult, TaskResult

from maintenance import conf, results
from maintenance.batches import Pace
from maintenance.results import stats
from tests.conftest import Outcome
from tests.servers import MariaDB, Postgres, Server

ALIAS = "stored"
NOW = timezone.now()
Run = Callable[..., Outcome]


KINDS = ["sqlite", *(pytest.param(name, marks=pytest.mark.services) for name in ("postgres", "mariadb"))]


@pytest.fixture(params=KINDS, scope="module")
def migrated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> Iterator[Server | None]:
    """A migrated database of each kind behind the alias ``stored``; gives its server, if it has one."""
    folder = tmp_path_factory.mktemp("stored")
    given: dict[str, Any] = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": folder / "stored.sqlite3",
        "OPTIONS": {"timeout": 20, "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"},
    }
    server: Postgres | MariaDB | None = None
    if request.param != "sqlite":
        server = (Postgres if request.param == "postgres" else MariaDB)(folder / "server")
        server.start()
        given = dict(environ.Env.db_url_config(server.url))
    with django_db_blocker.unblock(), behind(given):
        yield server
    if server is not None:
        server.stop()


@contextmanager
def behind(given: dict[str, Any], alias: str = ALIAS) -> Iterator[None]:
    """Put a database behind the alias, and migrate it."""
    connections.databases[alias] = {**connections.databases["default"], **given}
    call_command("migrate", database=alias, verbosity=0)
    yield
    connections[alias].close()
    del connections[alias]
    del connections.databases[alias]


@pytest.fixture
def database(migrated: Server | None, django_db_blocker: Any) -> Iterator[Server | None]:
    """The same, empty."""
    with django_db_blocker.unblock():
        TaskResult.objects.using(ALIAS).all().delete()
        GroupResult.objects.using(ALIAS).all().delete()
        yield migrated


def fill(number: int) -> None:
    """Store results of each hour before now: a tenth failures, three tasks, runs of 1 to 60 s, waits of 1 s."""
    rows = []
    for each in range(number):
        started = NOW - timedelta(hours=each, minutes=30)
        meta = json.dumps({"children": [], "retries": each % 2, "queue": "celery", "ready_at": started.timestamp() - 1})
        rows.append(
            TaskResult(
                task_id=f"{each}",
                task_name=f"app.tasks.{each % 3}",
                status="FAILURE" if each % 10 == 9 else "SUCCESS",
                date_started=started,
                meta=meta,
                result="null",
            )
        )
    TaskResult.objects.using(ALIAS).bulk_create(rows)
    for each in range(number):
        done = NOW - timedelta(hours=each, minutes=30) + timedelta(seconds=each % 60 + 1)
        TaskResult.objects.using(ALIAS).filter(task_id=f"{each}").update(date_done=done)


def test_the_rules_are_the_same_everywhere(database: Server | None, run: Run, tmp_path: Path) -> None:
    fill(240)
    GroupResult.objects.using(ALIAS).create(group_id="group")
    GroupResult.objects.using(ALIAS).update(date_done=NOW - timedelta(days=6))
    flags = [f"--database={ALIAS}", "--older-than=5d", "--failed-older-than=8d", "--json"]
    dry = json.loads(run("purge_results", *flags, "--dry-run")[0])
    out, err, code = run("purge_results", *flags, "--batch-size=50")
    done = json.loads(out)
    assert (err, code, done["complete"]) == ("", 0, True)
    assert dry["by_status"] == done["by_status"] == {"FAILURE": 5, "SUCCESS": 108}
    assert (dry["deleted"], done["deleted"], done["group_results"]) == (114, 114, 1)
    assert TaskResult.objects.using(ALIAS).count() == 127
    out, err, code = run("purge_results", f"--database={ALIAS}", "--older-than=0", "--keep-last=3", "--task", "app.*.1")
    assert (err, code) == ("", 0)
    assert TaskResult.objects.using(ALIAS).filter(task_name="app.tasks.1").count() == 3
    out, err, code = run("purge_results", f"--database={ALIAS}", "--older-than=0", f"--archive={tmp_path / 'archive'}")
    assert (err, code, out.splitlines()[0].split(" (")[0]) == (
        "",
        0,
        f"Deleted {127 - 43 + 3 + 1} task results and 0 group results older than 0s",
    )
    assert TaskResult.objects.using(ALIAS).count() == 0


def test_a_writer_beside_it_is_never_refused(database: Server | None, django_db_blocker: Any) -> None:
    TaskResult.objects.using(ALIAS).bulk_create(
        (TaskResult(task_id=f"{each:05}", status="SUCCESS", result="x" * 200) for each in range(30_000)),
        batch_size=1000,
    )
    for part in range(100):
        rows = TaskResult.objects.using(ALIAS).filter(task_id__endswith=f"{part:02}")
        rows.update(date_done=NOW - timedelta(days=8, minutes=part))
    stop = threading.Event()
    errors: list[Exception] = []
    written: list[int] = []

    def write() -> None:
        manager: Any = TaskResult.objects.using(ALIAS)
        while not stop.wait(0.01):
            try:
                manager.create(task_id=f"new {len(written)}", status="SUCCESS")
            except Exception as error:  # noqa: BLE001 - whichever it is, it is the finding
                errors.append(error)
            written.append(1)
        connections[ALIAS].close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        rules = results.plan(now=NOW, given=conf.Results(), older_than=timedelta(days=7))
        done = results.purge(rules, pace=Pace(rest=results.default_rest(ALIAS)), using=ALIAS)
    finally:
        stop.set()
        writer.join()
    assert (errors, done.deleted, done.by_status) == ([], 30_000, {"SUCCESS": 30_000})
    assert TaskResult.objects.using(ALIAS).count() == len(written)


def large(number: int, alias: str = ALIAS) -> None:
    """Store old results of 2 kB that cannot be compressed away."""
    rows = (TaskResult(task_id=f"{each}", result=os.urandom(1000).hex()) for each in range(number))
    TaskResult.objects.using(alias).bulk_create(rows, batch_size=500)
    TaskResult.objects.using(alias).update(date_done=NOW - timedelta(days=8))


def test_space_is_given_back(database: Server | None, run: Run) -> None:
    large(3000)
    out, err, code = run("purge_results", f"--database={ALIAS}", "--vacuum", "--noinput", "--json")
    assert (err, code) == ("", 0)
    assert json.loads(out)["won_back_bytes"] > 5_000_000
    assert run("purge_results", f"--database={ALIAS}", "--vacuum", "--noinput")[2] == 0


def test_vacuum_by_itself_gives_it_back_too(database: Server | None, run: Run) -> None:
    large(3000)
    assert run("purge_results", f"--database={ALIAS}", "--older-than=7d")[2] == 0
    flags = [f"--database={ALIAS}", "--json"]
    out, err, code = run("vacuum", *flags, "--dry-run")
    assert (err, code) == ("", 0)
    foretold = json.loads(out)
    assert set(foretold["tables"]) >= {TaskResult._meta.db_table, "django_session", "maintenance_dispatch"}
    out, err, code = run("vacuum", *flags, "--noinput")
    assert (err, code) == ("", 0)
    done = json.loads(out)
    assert done["won_back_bytes"] > 5_000_000
    if foretold["free_bytes"] is not None:
        assert foretold["before_bytes"] == pytest.approx(done["before_bytes"], rel=0.2)
    out, err, code = run("vacuum", f"--database={ALIAS}", "--noinput")
    assert (err, code, out.startswith("Vacuumed ")) == ("", 0, True)


def test_a_sqlite_file_with_incremental_vacuum_shrinks_too(tmp_path: Path, run: Run, django_db_blocker: Any) -> None:
    path = tmp_path / "stored.sqlite3"
    options = {"init_command": "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL;"}
    with django_db_blocker.unblock(), behind({"NAME": path, "OPTIONS": options}, "small"):
        large(2000, "small")
        out, err, code = run("purge_results", "--database=small", "--vacuum", "--noinput", "--json")
        assert (err, code) == ("", 0)
        assert json.loads(out)["won_back_bytes"] > 3_000_000
        assert path.stat().st_size < 1_000_000


def test_stats_are_the_same_computed_and_streamed(database: Server | None, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(200)
    TaskResult.objects.using(ALIAS).create(task_id="odd", meta='"ready_at": soon, "retries": 1.2.3', status="SUCCESS")
    found = stats.read(since=NOW - timedelta(days=30), using=ALIAS)
    assert [(each.task, each.runs, each.failures, each.retries) for each in found] == [
        (None, 1, 0, 0),
        ("app.tasks.0", 67, 7, 33),
        ("app.tasks.1", 67, 7, 34),
        ("app.tasks.2", 66, 6, 33),
    ]
    first = found[1]
    assert list(asdict(first.duration).values()) == pytest.approx([25, 55, 58], rel=0.011)
    assert list(asdict(first.wait).values()) == pytest.approx([1, 1, 1], rel=0.011)
    monkeypatch.setattr(stats, "_computed", stats._streamed)
    assert stats.read(since=NOW - timedelta(days=30), using=ALIAS) == found


@pytest.mark.parametrize("migrated", [pytest.param("postgres", marks=pytest.mark.services)], indirect=True)
def test_a_server_that_ends_in_the_middle_is_told_and_the_next_run_goes_on(database: Server, run: Run) -> None:
    fill(100)
    rules = results.plan(now=NOW, given=conf.Results(), older_than=timedelta(0))

    def stop(deleted: int) -> None:
        database.stop()

    with pytest.raises(results.deletion.DatabaseGone) as caught:
        results.purge(rules, pace=Pace(size=10), using=ALIAS, tell=stop)
    assert (caught.value.exit_code, caught.value.facts["deleted"]) == (69, 10)
    connections[ALIAS].close()
    database.start()
    assert json.loads(run("purge_results", f"--database={ALIAS}", "--older-than=0", "--json")[0])["deleted"] == 90
