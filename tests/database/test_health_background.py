"""The checks of beat, schedules, results, backups, disks and clocks, on both sides of each boundary."""

import json
import os
import shutil
from collections import namedtuple
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage
from django.db.migrations.recorder import MigrationRecorder
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks
from django_celery_results.models import TaskResult

from maintenance import lease
from maintenance.backups import catalog
from maintenance.backups.destination import Destination
from maintenance.backups.manifest import Manifest
from maintenance.backups.sidecars import Verified
from maintenance.conf import Results
from maintenance.health import checks
from maintenance.health.base import Check, Figure
from maintenance.health.checks import backups, results, schedules
from maintenance.health.runner import ask
from maintenance.models import Lease

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC).replace(microsecond=0)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> Iterator[None]:
    for module in (backups, results, schedules):
        module.forget()
    yield
    for module in (backups, results, schedules):
        module.forget()


@pytest.fixture
def app() -> Celery:
    app = Celery("alone", broker="memory://", backend="django-db", set_as_current=False, result_extended=True)
    app.conf.task_time_limit = 600

    @app.task(name="app.work", shared=False)
    def work() -> None:
        """Stand in for a task."""

    @app.task(name="app.silent", shared=False, ignore_result=True)
    def silent() -> None:
        """Stand in for a task without results."""

    app.finalize()
    return app


def found(check: Check) -> tuple[str, str]:
    finding = ask(check).finding
    return finding.state, finding.message


def figures(check: Check) -> dict[str, float]:
    return {figure.name: figure.value for figure in ask(check).figures}


def row(name: str = "hourly", *, task: str = "app.work", sent: timedelta | None, **columns: Any) -> None:
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
    PeriodicTask.objects.create(name=name, task=task, interval=every, **columns)
    if sent is not None:
        PeriodicTask.objects.filter(name=name).update(last_run_at=datetime.now(UTC) - sent)
    schedules.forget()


def test_beat_leads_or_is_missed() -> None:
    check = checks.Beat(15 * SECOND)
    assert found(check) == ("ok", "No schedule is enabled, so none is needed.")
    row(sent=None)
    assert found(check) == ("failed", "None leads.")
    lease.acquire("beat", holder="web-1:42:cafe", ttl=15 * SECOND)
    since = Lease.objects.get(name="beat").since.isoformat(timespec="seconds")
    assert found(check) == ("ok", f"web-1:42 leads since {since}.")
    assert Figure("beat_leader", 1.0, {"holder": "web-1:42"}) in ask(check).figures
    assert 0 <= figures(check)["beat_tick_age_seconds"] < 60
    ended = datetime.now(UTC) - HOUR
    Lease.objects.filter(name="beat").update(expires=ended)
    assert found(check) == ("failed", f"None leads since {ended.isoformat(timespec='seconds')}.")
    assert figures(check)["beat_leader"] == 0
    assert figures(check)["beat_tick_age_seconds"] >= 3600


def test_a_schedule_that_was_not_sent_is_late(app: Celery) -> None:
    check = checks.Late(app)
    assert found(check) == ("ok", "There is none.")
    row("silent", task="app.silent", sent=HOUR + 4 * MINUTE)
    assert found(check) == ("ok", "All of 1 are in time.")
    PeriodicTask.objects.update(last_run_at=datetime.now(UTC) - HOUR - 6 * MINUTE)
    schedules.forget()
    state, message = found(check)
    assert (state, message.startswith("'silent' was due at ")) == ("failed", True)
    assert figures(check) == {"schedules_late": 1, "schedules": 1}
    PeriodicTask.objects.update(enabled=False)
    PeriodicTasks.update_changed()
    schedules.forget()
    assert found(check) == ("ok", "All of 1 are in time.")


def ended(name: str, ago: timedelta, status: str = "SUCCESS") -> None:
    one = TaskResult.objects.create(task_id=os.urandom(8).hex(), status=status, periodic_task_name=name)
    TaskResult.objects.filter(pk=one.pk).update(date_done=datetime.now(UTC) - ago)
    schedules.forget()


def test_a_schedule_that_was_sent_and_never_ended_is_late(app: Celery) -> None:
    check = checks.Late(app)
    row(sent=14 * MINUTE)
    assert found(check)[0] == "ok", "its time limit of 10 minutes, and 5 more, are not over"
    PeriodicTask.objects.update(last_run_at=datetime.now(UTC) - 16 * MINUTE)
    ended("hourly", 17 * MINUTE)
    ended("another", MINUTE)
    ended("hourly", MINUTE, status="STARTED")
    state, message = found(check)
    assert (state, message.startswith("'hourly' was sent at ")) == ("failed", True)
    assert message.endswith(" and has not ended.")
    ended("hourly", MINUTE, status="FAILURE")
    assert found(check)[0] == "ok", "it ended: how is another check's business"


def test_without_results_nobody_can_tell_whether_it_ended(app: Celery) -> None:
    row(task="app.silent", sent=16 * MINUTE)
    assert found(checks.Late(app))[0] == "ok"
    PeriodicTask.objects.update(task="app.work")
    app.conf.result_extended = False
    schedules.forget()
    assert found(checks.Late(app))[0] == "ok"


def test_more_than_three_late_ones_are_counted(app: Celery) -> None:
    for number in range(5):
        row(f"s{number}", sent=2 * HOUR)
    assert found(checks.Late(app))[1].endswith("; and 2 more.")


def test_schedules_that_differ_from_the_declared_ones(app: Celery) -> None:
    check = checks.Drift(app)
    app.conf.result_expires = None
    assert found(check) == ("ok", "The tables hold what is declared.")
    app.conf.beat_schedule = {"new": {"task": "app.work", "schedule": 60}}
    assert found(check)[0] == "ok", "remembered until beat's mark changes"
    schedules.forget()
    assert found(check) == (
        "warning", "The tables are not what is declared (1 to create). Run `manage.py sync_schedules`.",
    )  # fmt: skip


def result(age: timedelta, status: str = "SUCCESS", task: str = "app.work") -> None:
    one = TaskResult.objects.create(task_id=os.urandom(8).hex(), status=status, task_name=task)
    TaskResult.objects.filter(pk=one.pk).update(date_done=datetime.now(UTC) - age)
    results.forget()


def test_results_that_should_be_gone_for_a_day() -> None:
    check = checks.Backlog(Results(keep_for=7 * DAY, keep_failed_for=30 * DAY))
    assert found(check) == ("ok", "None is older than it may become.")
    result(8 * DAY - MINUTE)
    result(20 * DAY, status="FAILURE")
    result(90 * DAY, status="STARTED")
    assert found(check)[0] == "ok"
    result(9 * DAY)
    assert found(check) == ("warning", "The oldest results are kept 2d longer than they should be.")
    TaskResult.objects.filter(status="SUCCESS").delete()
    result(33 * DAY, status="FAILURE")
    assert found(check) == ("warning", "The oldest failures are kept 3d longer than they should be.")
    assert found(checks.Backlog(Results(keep_for=timedelta(0))))[0] == "ok", "kept for ever"
    assert found(checks.Backlog(Results(keep_for=DAY, keep_last=3)))[0] == "ok"


def test_the_rate_of_failures_counts_from_some_runs_on() -> None:
    check = checks.Failures(percent=20, least=10)
    for _ in range(8):
        result(MINUTE)
    result(MINUTE, status="FAILURE")
    result(2 * HOUR, status="FAILURE")
    assert found(check) == ("ok", "1 of 9 runs in the last hour failed.")
    result(MINUTE, status="FAILURE")
    assert found(check) == ("ok", "2 of 10 runs in the last hour failed.")
    result(MINUTE, status="FAILURE")
    assert found(check) == ("warning", "3 of 11 runs in the last hour failed.")
    which = {"task": "app.work"}
    assert ask(check).figures[:2] == (
        Figure("task_runs_last_hour", 11, which), Figure("task_failures_last_hour", 3, which),
    )  # fmt: skip
    assert found(checks.Failures(percent=20, least=12))[0] == "ok"


@pytest.fixture
def place() -> Destination:
    return Destination(InMemoryStorage(), "s3", staging=Path(), staging_age=DAY, alias="offsite")


def backup(place: Destination, *, age: timedelta, size: int = 1000, alias: str = "default") -> Manifest:
    at = datetime.now(UTC) - age
    id_ = f"{at:%Y%m%dT%H%M%SZ}-{os.urandom(4).hex()}"
    made = Manifest(
        id=id_, alias=alias, engine="sqlite", file=f"{id_}.{alias}.sqlite3.zst", started=at, finished=at,
        plain_bytes=size, plain_sha256="a" * 64, stored_bytes=size // 2, stored_sha256="b" * 64, tables={}, versions={},
    )  # fmt: skip
    place.storage.save(made.name, ContentFile(made.to_json()))
    place.storage.save(made.file, ContentFile(b""))
    backups.forget()
    return made


def verified(place: Destination, of: Manifest, *, age: timedelta, ok: bool = True) -> None:
    note = Verified("restore", datetime.now(UTC) - age, ok, "" if ok else "a table is missing")
    catalog.note(place.storage, of, note)
    backups.forget()


def test_the_newest_backup_must_be_young(place: Destination) -> None:
    check = checks.Backups(place, age=26 * HOUR)
    aged = MigrationRecorder.Migration.objects
    aged.update(applied=datetime.now(UTC) - 25 * HOUR)
    assert found(check) == ("ok", "'default' is too young to need one already.")
    aged.filter(app="maintenance", name="0001_initial").update(applied=datetime.now(UTC) - 27 * HOUR)
    assert found(check) == ("failed", "'default' has no backup in s3.")
    assert found(checks.Backups(place, databases=["nope"]))[1] == "'nope' has no backup in s3."
    backup(place, age=50 * HOUR)
    backup(place, age=27 * HOUR)
    backup(place, age=HOUR, alias="other")
    assert found(check) == ("failed", "The newest backup of 'default' in s3 is 1d3h old.")
    backup(place, age=25 * HOUR)
    assert found(check) == ("ok", "1 database in s3, with fresh ones.")
    which = {"database": "default", "destination": "offsite"}
    assert Figure("backup_size_bytes", 500, which) in ask(check).figures
    assert figures(check)["backup_age_seconds"] == pytest.approx(25 * 3600, abs=60)


def test_a_backup_much_smaller_than_usual_is_doubtful(place: Destination) -> None:
    check = checks.Backups(place, shrink_percent=50)
    for hours in range(2, 6):
        backup(place, age=hours * HOUR)
    backup(place, age=HOUR, size=500)
    assert found(check)[0] == "ok"
    backup(place, age=MINUTE, size=499)
    assert found(check) == ("warning", "The newest backup of 'default' holds 499 B instead of the usual 1.0 KB.")


def test_backups_must_be_proven_now_and_then(place: Destination) -> None:
    check = checks.Backups(place, verified_age=8 * DAY)
    old = backup(place, age=7 * DAY)
    newest = backup(place, age=HOUR)
    assert found(check)[0] == "ok", "the first is not old enough to have been verified"
    oldest = backup(place, age=9 * DAY)
    assert found(check) == (
        "warning", "Backups of 'default' are not proven. None was ever verified, and the first is 9d old.",
    )  # fmt: skip
    verified(place, old, age=7 * DAY)
    assert found(check)[0] == "ok"
    assert figures(check)["backup_verified_age_seconds"] == pytest.approx(7 * 86400, abs=60)
    verified(place, old, age=9 * DAY)
    verified(place, oldest, age=MINUTE, ok=False)
    assert found(check)[1].startswith("Backups of 'default' are not proven. Its last good verification is 9d old.")
    verified(place, newest, age=MINUTE, ok=False)
    assert found(check) == (
        "failed",
        "The newest backup of 'default' is damaged: a table is missing. "
        "Backups of 'default' are not proven. Its last good verification is 9d old.",
    )


def test_a_manifest_that_cannot_be_read_is_told(place: Destination) -> None:
    made = backup(place, age=HOUR)
    place.storage.save(f"20200101T000000Z-{'0' * 8}.manifest.json", ContentFile(b"{"))
    backups.forget()
    state, message = found(checks.Backups(place))
    assert (state, message) == ("warning", "'20200101T000000Z-00000000.manifest.json' cannot be read.")
    assert json.loads(made.to_json())["alias"] == "default"


def test_disks_must_have_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10_000_000, 0, 2_000_000))
    folders = (tmp_path, tmp_path / "not there yet")
    assert found(checks.Disk(folders, 2_000_000)) == ("ok", "1 with at least 2.0 MB free.")
    assert found(checks.Disk(folders, 2_000_001)) == ("failed", f"2.0 MB of 10.0 MB are free at '{tmp_path}'.")


def test_sqlite_has_this_hosts_clock() -> None:
    assert found(checks.Clock()) == ("ok", "SQLite has this host's clock.")
