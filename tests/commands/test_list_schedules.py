"""manage.py list_schedules"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from celery.schedules import crontab, solar
from django_celery_beat.clockedschedule import clocked
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask
from django_celery_results.models import TaskResult

from maintenance.conf import Schedule
from maintenance.models import ManagedSchedule
from maintenance.schedules import declared, stored
from tests.celery import app
from tests.conftest import Outcome

Run = Callable[..., Outcome]
TASK = "celery.accumulate"
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    before = app.conf.beat_schedule
    with time_machine.travel(NOW, tick=False):
        yield
    app.conf.beat_schedule = before


@pytest.fixture
def rows(run: Run) -> None:
    app.conf.beat_schedule = {"minutely": {"task": TASK, "schedule": 60}}
    run("sync_schedules")
    nightly = CrontabSchedule.objects.create(minute="30", hour="2", timezone=ZoneInfo("Europe/Berlin"))
    PeriodicTask.objects.create(name="nightly", task="app.x", crontab=nightly)
    bad = CrontabSchedule.objects.create(minute="[1]")
    PeriodicTask.objects.create(name="broken", task="app.x", crontab=bad, enabled=False)


def ran(name: str, ago: timedelta) -> None:
    PeriodicTask.objects.filter(name=name).update(last_run_at=NOW - ago, total_run_count=3)


BROKEN = "broken: app.x, unreadable crontab [1] * * * * (admin, disabled)\n"
NIGHTLY = """\
nightly: app.x, crontab 30 2 * * * Europe/Berlin (admin)
    next 2030-01-02 01:30:00+00:00 (in 13h30m)
"""


def test_it_lists_them_with_their_next_and_last_run(rows: None, run: Run) -> None:
    ran("minutely", timedelta(seconds=20))
    started = NOW - timedelta(seconds=15)
    result = TaskResult.objects.create(task_id="1", status="FAILURE", periodic_task_name="minutely")
    TaskResult.objects.filter(pk=result.pk).update(date_started=started, date_done=started + timedelta(seconds=5))
    minutely = """\
minutely: celery.accumulate, every 1m (code)
    next 2030-01-01 12:00:40+00:00 (in 40s)
    next 2030-01-01 12:01:40+00:00 (in 1m40s)
    last sent 2030-01-01 11:59:40+00:00
    last finished 2030-01-01 11:59:50+00:00: FAILURE after 5s
"""
    nightly = NIGHTLY + "    next 2030-01-03 01:30:00+00:00 (in 1d13h)\n"
    assert run("list_schedules", "--next=2", "--timezone=UTC") == (
        BROKEN + minutely + nightly + "3 schedules, 0 late.\n",
        "",
        0,
    )
    assert run("list_schedules", "--failed", "--next=2", "--timezone=UTC") == (
        minutely + "1 schedule, 0 late.\n",
        "",
        0,
    )


def test_the_latest_result_counts(rows: None, run: Run) -> None:
    for number, status in enumerate(("FAILURE", "SUCCESS", "STARTED")):
        TaskResult.objects.create(task_id=str(number), status=status, periodic_task_name="minutely")
    assert run("list_schedules", "--failed") == ("0 schedules, 0 late.\n", "", 0)


@pytest.mark.parametrize(("seconds", "late"), [(360, False), (361, True)])
def test_late_is_what_is_due_for_more_than_five_minutes(rows: None, run: Run, seconds: int, late: bool) -> None:
    ran("minutely", timedelta(seconds=seconds))
    out, err, code = run("list_schedules", "--late", "--timezone=UTC")
    assert (out.splitlines()[-1], err, code) == (
        f"{'1 schedule, 1' if late else '0 schedules, 0'} late.",
        "",
        int(late),
    )
    if late:
        assert out.splitlines()[:2] == [
            "minutely: celery.accumulate, every 1m (code, LATE)",
            "    next 2030-01-01 11:54:59+00:00 (due for 5m1s)",
        ]


@pytest.mark.parametrize(("seconds", "code"), [(90, 0), (91, 1)])
def test_a_schedules_own_grace(rows: None, run: Run, seconds: int, code: int) -> None:
    ManagedSchedule.objects.update(misfire="within:30")
    ran("minutely", timedelta(seconds=seconds))
    assert run("list_schedules", "--late")[2] == code


def test_only_the_code_or_only_the_admin(rows: None, run: Run) -> None:
    assert run("list_schedules", "--source=admin", "--timezone=UTC") == (
        BROKEN + NIGHTLY + "2 schedules, 0 late.\n",
        "",
        0,
    )
    assert "nightly" not in run("list_schedules", "--source=code")[0]


def test_clock_changes_are_told(rows: None, run: Run) -> None:
    out, err, code = run("list_schedules", "--source=admin", "--dst", "--timezone=UTC")
    assert (err, code) == ("", 0)
    assert [line for line in out.splitlines() if "clocks" in line] == [
        "    clocks change 2030-03-31 01:00:00+00:00: as usual",
        "    clocks change 2030-10-27 01:00:00+00:00: as usual",
    ]


def test_json_is_one_document(rows: None, run: Run) -> None:
    ran("minutely", timedelta(seconds=20))
    out, err, code = run("list_schedules", "--json", "--source=code", "--timezone=Asia/Tokyo")
    assert (list(json.loads(out).items()), err, code) == (
        [
            ("schema_version", 1),
            (
                "schedules",
                [
                    {
                        "name": "minutely",
                        "task": TASK,
                        "schedule": "every 1m",
                        "timezone": None,
                        "enabled": True,
                        "source": "code",
                        "next": ["2030-01-01T21:00:40+09:00"],
                        "last_sent": "2030-01-01T20:59:40+09:00",
                        "sent": 3,
                        "last_finished": None,
                        "late": False,
                        "clock_changes": [],
                    }
                ],
            ),
        ],
        "",
        0,
    )


def test_start_and_end_bound_the_next_runs(rows: None, run: Run) -> None:
    PeriodicTask.objects.filter(name="minutely").update(
        start_time=NOW + timedelta(hours=1), expires=NOW + timedelta(hours=1, minutes=2)
    )
    out = run("list_schedules", "--json", "--source=code", "--next=5", "--timezone=UTC")[0]
    assert len(json.loads(out)["schedules"][0]["next"]) == 2


def test_an_export_is_read_back_to_the_same(run: Run) -> None:
    entries: dict[str, Any] = {
        "interval": {"task": TASK, "schedule": 30.5, "args": [[1, None], "ä"], "kwargs": {"a": {"b": True}}},
        "crontab": {"task": TASK, "schedule": crontab(minute=[1, 2], day_of_week="mon"), "options": {"queue": "q"}},
        "solar": {"task": TASK, "schedule": solar("sunset", 52.52, 13.4), "options": {"priority": 3, "expires": 60}},
        "clocked": {"task": TASK, "schedule": clocked(NOW), "options": {"expires": NOW, "headers": {"a": 1}}},
        "more": {"task": TASK, "schedule": 60, "options": {"time_limit": 5, "exchange": "x", "routing_key": "y"}},
    }
    extra = Schedule(
        enabled=False, one_off=True, start_time=NOW, description='a "b"', misfire="all:3", no_overlap=True,
        timezone="Asia/Tokyo", ping="https://example.com/",
    )  # fmt: skip
    app.conf.beat_schedule = entries
    parsed = declared.parse(entries, zone=ZoneInfo("UTC"), tasks=app.tasks, extras={"more": extra})
    assert parsed.errors == ()
    run("sync_schedules")
    hour = IntervalSchedule.objects.create(every=1, period="hours")
    PeriodicTask.objects.create(name="admin's", task=TASK, interval=hour, description="by hand", queue="")
    text, err, code = run("list_schedules", "--export")
    assert (err, code) == ("", 0)
    found: dict[str, Any] = {}
    exec(text, found)  # noqa: S102 - our own output
    extras = {
        name: Schedule(**{**more, "description": more.get("description")})
        for name, more in found["MAINTENANCE_SCHEDULES"].items()
    }
    again = declared.parse(found["CELERY_BEAT_SCHEDULE"], zone=ZoneInfo("Africa/Lagos"), tasks=app.tasks, extras=extras)
    assert again.errors == ()
    rows = stored.read(using="default").rows
    assert {entry.name for entry in again.entries} == set(rows) == {*entries, "admin's"}
    for entry in again.entries:
        assert entry.facts == rows[entry.name].entry.facts
    from maintenance.schedules import export

    module: dict[str, Any] = {}
    exec(export.python(parsed.entries), module)  # noqa: S102 - our own output
    more = module["MAINTENANCE_SCHEDULES"]["more"]
    (back,) = declared.parse(
        {"more": module["CELERY_BEAT_SCHEDULE"]["more"]},
        zone=ZoneInfo("UTC"), tasks=app.tasks, extras={"more": Schedule(**more)},
    ).entries  # fmt: skip
    assert back.facts == parsed.entries[-1].facts


def test_an_unreadable_one_is_a_comment(rows: None, run: Run) -> None:
    assert "# 'broken' is left out: unreadable crontab [1] * * * *\n" in run("list_schedules", "--export")[0]
