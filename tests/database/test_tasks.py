"""The tasks as tasks: limits, the overlap lock, and answers that are JSON."""

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Task
from celery.exceptions import Retry
from django.db.utils import OperationalError
from django.test import modify_settings
from django.utils import timezone
from django_celery_results.models import TaskResult

from maintenance import lease, tasks
from maintenance.errors import AppNotInstalled, Unavailable

pytestmark = pytest.mark.django_db
ALL: "list[Task[Any, Any]]" = [
    tasks.backup,
    tasks.backup_media,
    tasks.clear_cache,
    tasks.clear_files,
    tasks.clear_sessions,
    tasks.monitor,
    tasks.prune_backups,
    tasks.purge_results,
    tasks.vacuum,
    tasks.verify_backup,
]
# What somebody asks for on the ops page, about one object.
ASKED: "list[Task[Any, Any]]" = [
    tasks.reset_schedule,
    tasks.retry_result,
    tasks.switch_schedule,
    tasks.verify_one_backup,
]
Add = Callable[[str], Path]


@pytest.mark.parametrize("task", [*ALL, *ASKED], ids=lambda task: str(task.name))
def test_every_task_survives_its_worker_and_has_an_end(task: "Task[Any, Any]") -> None:
    assert (task.acks_late, task.reject_on_worker_lost) == (True, True)
    assert task.soft_time_limit is not None
    assert task.time_limit is not None
    # Kombu's visibility timeout is an hour by default: a longer run would be delivered a second time.
    assert 0 < task.soft_time_limit < task.time_limit < 3600
    assert (task.queue if hasattr(task, "queue") else None) is None


def test_their_names_are_their_own() -> None:
    assert {task.name for task in tasks.__dict__.values() if isinstance(task, Task)} == {
        task.name for task in [*ALL, *ASKED]
    }
    assert [task.name for task in ALL] == [
        "maintenance.backup",
        "maintenance.backup_media",
        "maintenance.clear_cache",
        "maintenance.clear_files",
        "maintenance.clear_sessions",
        "maintenance.monitor",
        "maintenance.prune_backups",
        "maintenance.purge_results",
        "maintenance.vacuum",
        "maintenance.verify_backup",
    ]


@pytest.mark.parametrize("task", ALL, ids=lambda task: str(task.name))
def test_another_run_makes_it_answer_at_once(task: "Task[Any, Any]") -> None:
    name = str(task.name)
    lease.acquire(name, holder="another id", ttl=timedelta(minutes=5), reason="schedule 'x', on w1")
    held = lease.find(name)
    assert held is not None
    since = held.since.isoformat(timespec="seconds")
    answer = task.apply(task_id="this id").get()
    assert answer == {
        "skipped": f"{name!r} is locked by 'another id' since {since}.",
        "holder": "another id",
        "since": since,
        "reason": "schedule 'x', on w1",
    }
    assert lease.find(name) == held


def test_an_expired_lock_is_nobodys() -> None:
    lease.acquire("maintenance.clear_sessions", holder="another id", ttl=timedelta(seconds=-1))
    assert tasks.clear_sessions.apply(task_id="this id").get()["deleted"] == 0


def test_the_redelivery_of_the_same_id_takes_the_lock_over(monkeypatch: pytest.MonkeyPatch) -> None:
    # A broker that cannot tell a repeat from a redelivery; the app is the current one: other tests make some.
    monkeypatch.setattr(tasks.clear_sessions.app.conf, "broker_url", "memory://")
    lease.acquire("maintenance.clear_sessions", holder="this id", ttl=timedelta(minutes=5))
    answer = tasks.clear_sessions.apply(task_id="this id").get()
    assert answer == {"engine": "django.contrib.sessions.backends.db", "deleted": 0, "batches": 0, "stopped": ""}
    assert lease.find("maintenance.clear_sessions") is None


def test_an_id_that_has_finished_is_dropped() -> None:
    name = "maintenance.clear_sessions"
    done = {"engine": "django.contrib.sessions.backends.db", "deleted": 0, "batches": 0, "stopped": ""}
    assert tasks.clear_sessions.apply(task_id="this id").get() == done
    finished = lease.finished(name, holder="this id")
    assert finished is not None
    at = finished.isoformat(timespec="seconds")
    assert tasks.clear_sessions.apply(task_id="this id").get() == {
        "skipped": f"{name!r} was already done by 'this id', at {at}.",
        "finished": at,
    }
    assert tasks.clear_sessions.apply(task_id="next id").get() == done


@pytest.mark.parametrize(
    ("broker", "redelivered", "runs"),
    [
        ("redis://", False, False),
        ("redis://", True, True),
        ("amqp://", False, False),
        ("amqp://", True, True),
        ("filesystem://", False, True),  # cannot tell, and work is not to be lost
    ],
)
def test_a_repeat_while_the_first_run_goes_on_is_dropped_where_the_broker_tells_it_from_a_redelivery(
    monkeypatch: pytest.MonkeyPatch, broker: str, redelivered: bool, runs: bool
) -> None:
    task: Any = tasks.clear_sessions
    # The app of the moment: other tests make apps too.
    monkeypatch.setattr(task.app.conf, "broker_url", broker)
    lease.acquire("maintenance.clear_sessions", holder="this id", ttl=timedelta(minutes=5))
    task.push_request(id="this id", delivery_info={"redelivered": redelivered}, called_directly=False)
    answer = task()
    task.pop_request()
    assert ("deleted" in answer) is runs
    assert (lease.find("maintenance.clear_sessions") is None) is runs


def test_the_lock_outlives_the_time_limit_by_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[lease.Holding | None] = []
    task: Any = tasks.clear_sessions
    name = "maintenance.clear_sessions"
    monkeypatch.setattr("maintenance.sessions.clear", lambda **_: held.append(lease.find(name)))
    for limits, seconds in ((None, 1860), ([None, None], 1860), ([100, 50], 160)):
        task.push_request(id="this id", timelimit=limits)
        # asdict(None) fails after the look: the lock is released then, too.
        with pytest.raises(TypeError):
            task()
        task.pop_request()
        found = held.pop()
        assert found is not None
        assert abs(found.expires - found.since - timedelta(seconds=seconds)) < timedelta(seconds=1)
        assert lease.find(name) is None


def test_purge_results_answers_in_json(settings: Any) -> None:
    settings.MAINTENANCE = {"RESULTS": {"KEEP_FOR": "1d"}}
    for name, age in (("old", 25), ("new", 23)):
        TaskResult.objects.create(task_id=name)
        TaskResult.objects.filter(task_id=name).update(date_done=timezone.now() - timedelta(hours=age))
    answer = tasks.purge_results.apply().get()
    assert (answer["task_results"], answer["group_results"], answer["batches"]) == (1, 0, 1)
    assert answer["kept_by"] == 'MAINTENANCE["RESULTS"]["KEEP_FOR"]'
    assert json.loads(json.dumps(answer)) == answer
    settings.MAINTENANCE = {}
    settings.CELERY_RESULT_EXPIRES = None
    assert tasks.purge_results.apply().get()["before"] is None
    assert list(TaskResult.objects.values_list("task_id", flat=True)) == ["new"]


def test_backup_answers_with_the_manifests(settings: Any, sqlite_file: Add, tmp_path: Path) -> None:
    with closing(sqlite3.connect(sqlite_file("archive"))) as live, live:
        live.execute("CREATE TABLE entry (id INTEGER PRIMARY KEY)")
    settings.MAINTENANCE = {
        "BACKUPS": {
            "ROOT": tmp_path / "backups",
            "DATABASES": ["archive"],
            "DESTINATIONS": ["elsewhere"],
            "KEEP_LAST": 1,
        }
    }
    first, second = (tasks.backup.apply(task_id=name).get() for name in ("one id", "another id"))
    assert json.loads(json.dumps(second)) == second
    assert [one["destinations"] for one in second["backups"]] == [[str(tmp_path / "backups")]]
    assert [one["removed"] for one in second["backups"]] == [[first["backups"][0]["id"]]]
    manifests = list((tmp_path / "backups").glob("*.manifest.json"))
    assert [path.name for path in manifests] == [f"{second['backups'][0]['id']}.manifest.json"]
    assert (lease.find("maintenance.backup"), lease.find("backup:archive")) == (None, None)


def test_a_command_at_work_on_the_same_database_is_told(settings: Any, sqlite_file: Add, tmp_path: Path) -> None:
    sqlite_file("archive")
    settings.MAINTENANCE = {"BACKUPS": {"ROOT": tmp_path / "backups", "DATABASES": ["archive"]}}
    lease.acquire("backup:archive", holder="web.1:77", ttl=timedelta(minutes=5))
    answer = tasks.backup.apply().get()
    assert (answer["holder"], answer["skipped"].split(" is ")[0]) == ("web.1:77", "'backup:archive'")


def test_a_run_tells_in_the_log_when_it_starts_and_how_it_ended(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="maintenance")
    tasks.clear_files.apply(task_id="this id", headers={"periodic_task_name": "nightly"})
    start, done = caplog.records
    head = 'task="maintenance.clear_files" id="this id" schedule="nightly"'
    assert (start.levelname, start.getMessage()) == ("INFO", f'event="start" {head}')
    assert re.fullmatch(rf'event="done" {head} seconds=[\d.]+ result={{"roots": \[\]}}', done.getMessage())
    facts = done.__dict__["maintenance"]
    assert (facts["task"], facts["result"]) == ("maintenance.clear_files", {"roots": []})


def test_a_refused_run_tells_whom_it_met(caplog: pytest.LogCaptureFixture) -> None:
    name = "maintenance.clear_files"
    lease.acquire(name, holder="web.1:77", ttl=timedelta(minutes=5), reason="sent by hand, on w2")
    tasks.clear_files.apply(task_id="this id")
    held = lease.find(name)
    assert held is not None
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "WARNING",
            f'event="skipped" task="{name}" id="this id" holder="web.1:77" '
            f'since="{held.since.isoformat(timespec="seconds")}" reason="sent by hand, on w2"',
        )
    ]


@pytest.mark.parametrize(("retries", "minutes"), [(0, 1), (1, 2), (2, 4), (3, None)])
def test_what_is_unavailable_is_tried_again_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, retries: int, minutes: int | None
) -> None:
    caplog.set_level("INFO", logger="maintenance.runs")

    def gone(**given: Any) -> Any:
        raise OperationalError("gone") if retries % 2 else Unavailable(service="It", reason="asleep")

    monkeypatch.setattr("maintenance.sessions.clear", gone)
    task: Any = tasks.clear_sessions
    task.push_request(id="this id", called_directly=False, retries=retries, args=(), kwargs={})
    try:
        with pytest.raises(Retry if minutes else OperationalError) as caught:
            task()
    finally:
        task.pop_request()
    assert getattr(caught.value, "when", None) == (minutes and minutes * 60)
    events = [record.__dict__["maintenance"]["event"] for record in caplog.records if record.name == "maintenance.runs"]
    assert events == ["start", "retry" if minutes else "failed"]
    assert lease.find("maintenance.clear_sessions") is None


def test_backups_and_the_monitor_are_not_tried_again() -> None:
    # It takes long, and its next run is never far.
    assert [task.name for task in ALL if not getattr(task, "autoretry_for", ())] == [
        "maintenance.backup",
        "maintenance.backup_media",
        "maintenance.monitor",
        "maintenance.prune_backups",
        "maintenance.verify_backup",
    ]


def test_trouble_is_a_failure_and_frees_the_lock(caplog: pytest.LogCaptureFixture) -> None:
    with modify_settings(INSTALLED_APPS={"remove": ["django_celery_results"]}), pytest.raises(AppNotInstalled):
        tasks.purge_results.apply(throw=True)
    assert lease.find("maintenance.purge_results") is None
    line = [record.getMessage() for record in caplog.records if record.name == "maintenance.runs"][-1]
    assert re.fullmatch(
        r'event="failed" task="maintenance.purge_results" id="\S+" seconds=[\d.]+ error="AppNotInstalled"', line
    )
