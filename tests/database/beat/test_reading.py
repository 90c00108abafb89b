"""What beat reads: changes, corrupt rows, kept options, the built-in cleanup."""

from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks, SolarSchedule

from maintenance.beat.scheduler import Scheduler
from maintenance.models import Dispatch
from maintenance.schedules.cleanup import BACKEND_CLEANUP, PURGE

from .rows import HOUR, NOON, SECOND, Sent, dues, every, managed

pytestmark = pytest.mark.django_db


def test_a_bad_policy_is_reported_and_the_entry_still_runs(
    clock: Any, beat: Scheduler, sent: Sent, caplog: pytest.LogCaptureFixture
) -> None:
    every(10)
    managed("a", misfire="twice")
    beat.tick()
    clock.shift(10)
    beat.tick()
    assert len(sent) == 1
    assert "Schedule 'a' cannot be used: 'twice' is not a misfire policy" in caplog.text


def test_kept_options_are_sent(clock: Any, beat: Scheduler, sent: Sent) -> None:
    every(10)
    managed("a", options={"time_limit": 30, "headers": {"y": 2}})
    beat.tick()
    clock.shift(10)
    beat.tick()
    assert sent[0][1]["time_limit"] == 30
    assert sent[0][1]["headers"]["y"] == 2


def test_nothing_is_written_and_little_is_read_while_nothing_changes(clock: Any, beat: Scheduler, sent: Sent) -> None:
    for number in range(50):
        every(3600, f"task {number}")
    beat.tick()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        beat.tick()
    assert [query["sql"].split()[0] for query in queries] == ["SELECT"]


def test_after_a_change_mark_only_what_differs_is_built_again(clock: Any, beat: Scheduler, sent: Sent) -> None:
    kept, edited, gone = every(10, "kept"), every(10, "edited"), every(10, "gone")
    beat.tick()
    before = beat.schedule
    PeriodicTask.objects.filter(pk=edited.pk).update(queue="other")
    PeriodicTask.objects.filter(pk=gone.pk).delete()
    clock.shift(1)
    every(10, "new")
    beat.tick()
    after = beat.schedule
    assert sorted(after) == ["edited", "kept", "new"]
    assert after[kept.name] is before[kept.name]
    assert after["edited"] is not before["edited"]
    assert after["edited"].options["queue"] == "other"


def test_a_change_of_the_schedules_own_row_is_noticed(clock: Any, beat: Scheduler, sent: Sent) -> None:
    every(3600)
    beat.tick()
    clock.shift(5)
    IntervalSchedule.objects.update(every=5)
    PeriodicTasks.update_changed()
    beat.tick()
    assert dues(sent) == [NOON + 5 * SECOND]


def test_a_disabled_row_is_not_sent_even_without_a_change_mark(clock: Any, beat: Scheduler, sent: Sent) -> None:
    every(10)
    beat.tick()
    PeriodicTask.objects.update(enabled=False)
    clock.shift(10)
    beat.tick()
    assert (sent, Dispatch.objects.count()) == ([], 0)


def test_a_bulk_update_that_leaves_no_mark_is_noticed_after_five_minutes(
    clock: Any, beat: Scheduler, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = [0.0]
    monkeypatch.setattr(beat._changes, "_clock", lambda: at[0])
    every(3600)
    beat.tick()
    PeriodicTask.objects.update(queue="other")
    at[0] = 299.9
    beat.tick()
    assert "queue" not in beat.schedule["a"].options
    at[0] = 300.0
    beat.tick()
    assert beat.schedule["a"].options["queue"] == "other"


def test_a_reset_row_starts_anew(clock: Any, beat: Scheduler, sent: Sent) -> None:
    every(10, last_run_at=NOON)
    beat.tick()
    clock.shift(5)
    PeriodicTask.objects.update(last_run_at=None, date_changed=NOON + 5 * SECOND)
    clock.shift(5)
    beat.tick()
    assert sent == []
    beat.tick()
    clock.shift(5)
    beat.tick()
    assert dues(sent) == [NOON + 15 * SECOND]


@pytest.mark.parametrize(
    "fields",
    [
        {"args": "{"},
        {"args": '{"a": 1}'},
        {"kwargs": "[]"},
        {"headers": "nonsense"},
    ],
)
def test_a_corrupt_row_is_reported_once_and_the_others_run(
    clock: Any, beat: Scheduler, sent: Sent, caplog: pytest.LogCaptureFixture, fields: dict[str, str]
) -> None:
    every(10, "good")
    PeriodicTask.objects.filter(pk=every(10, "bad").pk).update(**fields)
    beat.tick()
    for _ in range(2):
        clock.shift(10)
        PeriodicTasks.update_changed()
        beat.tick()
    assert [name for name, _ in sent] == ["good", "good"]
    assert caplog.text.count("Schedule 'bad' cannot be used") == 1


@pytest.mark.parametrize("fields", [{"minute": "[1, 2]"}, {"minute": "99"}, {"hour": ""}, {"timezone": "Mars/Base"}])
def test_a_corrupt_crontab_is_reported_and_the_others_run(
    clock: Any, beat: Scheduler, sent: Sent, caplog: pytest.LogCaptureFixture, fields: dict[str, str]
) -> None:
    every(10, "good")
    crontab = CrontabSchedule.objects.create()
    PeriodicTask.objects.create(name="bad", task="some.task", crontab=crontab)
    column, value = next(iter(fields.items()))
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE django_celery_beat_crontabschedule SET {column} = %s", [value])  # noqa: S608
    beat.tick()
    clock.shift(10)
    beat.tick()
    assert [name for name, _ in sent] == ["good"]
    assert "Schedule 'bad' cannot be used" in caplog.text


@pytest.mark.parametrize(
    "schedule",
    [
        {"interval": lambda: IntervalSchedule.objects.create(every=5, period="fortnights")},
        {"interval": lambda: IntervalSchedule.objects.create(every=2**31 - 1, period="days")},
        {"solar": lambda: SolarSchedule.objects.create(event="moonrise", latitude=0, longitude=0)},
        {},
    ],
)
def test_a_schedule_that_nobody_can_read_is_reported_and_the_others_run(
    clock: Any,
    beat: Scheduler,
    sent: Sent,
    caplog: pytest.LogCaptureFixture,
    schedule: dict[str, Callable[[], Any]],
) -> None:
    every(10, "good")
    bad = every(5, "bad")
    PeriodicTask.objects.filter(pk=bad.pk).update(
        **{"interval": None} | {kind: make() for kind, make in schedule.items()}
    )
    beat.tick()
    clock.shift(10)
    beat.tick()
    assert [name for name, _ in sent] == ["good"]
    assert caplog.text.count("Schedule 'bad' cannot be used: ") == 1


def test_an_interval_that_never_rests_is_reported(
    clock: Any, beat: Scheduler, sent: Sent, caplog: pytest.LogCaptureFixture
) -> None:
    every(0)
    beat.tick()
    assert "Schedule 'a' cannot be used: its interval of 0 seconds never rests." in caplog.text


def test_starting_writes_no_entries(app: Celery, sent: Sent) -> None:
    app.conf.beat_schedule = {"from settings": {"task": "t", "schedule": 10}}
    app.conf.result_expires = 3600
    Scheduler(app=app).tick()
    assert PeriodicTask.objects.count() == 0


def test_celerys_own_cleanup_runs_daily_without_a_row(clock: Any, app: Celery, sent: Sent) -> None:
    app.conf.result_expires = 3600
    app.conf.update(timezone="UTC")
    beat = Scheduler(app=app, lazy=True)
    beat.tick()
    clock.move_to(NOON + 16 * HOUR)
    beat.tick()
    assert dues(sent, BACKEND_CLEANUP) == [NOON + 16 * HOUR]
    assert PeriodicTask.objects.count() == 0


def test_purge_results_replaces_celerys_cleanup_even_where_it_has_a_row(clock: Any, app: Celery, sent: Sent) -> None:
    app.conf.result_expires = 3600
    every(10, BACKEND_CLEANUP)
    beat = Scheduler(app=app, lazy=True)
    beat.tick()
    assert list(beat.schedule) == [BACKEND_CLEANUP]
    clock.shift(1)
    PeriodicTask.objects.create(name="purge", task=PURGE, interval=IntervalSchedule.objects.get())
    beat.tick()
    assert list(beat.schedule) == ["purge"]
