"""When entries are sent: due times, misfire policies, ends, runs that are not overlapped."""

from datetime import timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
import time_machine
from celery import Celery
from django.utils.timezone import make_naive
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from django_celery_results.models import TaskResult

from maintenance.beat import due
from maintenance.beat.scheduler import Scheduler
from maintenance.models import Dispatch

from .rows import HOUR, MINUTE, NOON, SECOND, Sent, dues, every, managed

pytestmark = pytest.mark.django_db


def test_what_is_due_is_sent_recorded_and_marked(clock: Any, beat: Scheduler, sent: Sent) -> None:
    row = every(10, headers='{"x": 1}', queue="heavy", priority=3, expire_seconds=60)
    assert beat.tick() == pytest.approx(2.5)
    clock.shift(9.999)
    beat.tick()
    assert sent == []
    clock.shift(0.001)
    assert beat.tick() == pytest.approx(2.5)
    at = NOON + 10 * SECOND
    headers = {"x": 1, "periodic_task_name": "a", "maintenance_due": at.isoformat()}
    options = {"queue": "heavy", "priority": 3, "expires": 60, "headers": headers, "task_id": due.task_id("a", at)}
    assert sent == [("a", options)]
    row.refresh_from_db()
    assert (row.last_run_at, row.total_run_count, Dispatch.objects.count()) == (at, 1, 0)


def test_without_time_zones_the_due_times_are_the_same(app: Celery, sent: Sent, settings: Any) -> None:
    settings.USE_TZ = False
    with time_machine.travel(NOON.astimezone(ZoneInfo(settings.TIME_ZONE)), tick=False) as clock:
        every(10, expires=make_naive(NOON + 25 * SECOND))
        beat = Scheduler(app=app, lazy=True)
        for _ in range(3):
            beat.tick()
            clock.shift(10)
        assert PeriodicTask.objects.get().last_run_at == make_naive(NOON + 20 * SECOND)
        beat.tick()
    assert dues(sent) == [NOON + n * SECOND for n in (10, 20)]
    assert not PeriodicTask.objects.get().enabled


def test_due_times_stay_on_the_grid_when_beat_is_late(clock: Any, beat: Scheduler, sent: Sent) -> None:
    every(10)
    beat.tick()
    for late in (13, 8, 10):
        clock.shift(late)
        beat.tick()
    assert dues(sent) == [NOON + n * SECOND for n in (10, 20, 30)]


def test_missed_due_times_collapse_into_one_that_says_how_many(
    clock: Any, beat: Scheduler, sent: Sent, caplog: pytest.LogCaptureFixture
) -> None:
    every(10)
    beat.tick()
    clock.shift(45)
    beat.tick()
    assert dues(sent) == [NOON + 40 * SECOND]
    assert sent[0][1]["headers"]["maintenance_missed"] == 3
    assert "'a' missed 3 due times (misfire: once)." in caplog.text
    assert PeriodicTask.objects.get().total_run_count == 1


def test_what_became_due_while_the_lease_was_waited_for_is_in_it_too(
    clock: Any, beat: Scheduler, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    every(10)
    beat.tick()
    clock.shift(25)
    lead = beat._leader.lead

    def slowly() -> bool:
        clock.shift(20)
        return lead()

    monkeypatch.setattr(beat._leader, "lead", slowly)
    beat.tick()
    assert dues(sent) == [NOON + 40 * SECOND]
    assert sent[0][1]["headers"]["maintenance_missed"] == 3


def test_all_sends_each_due_time_that_was_missed(clock: Any, beat: Scheduler, sent: Sent) -> None:
    every(10)
    managed("a", misfire="all")
    beat.tick()
    clock.shift(45)
    beat.tick()
    assert dues(sent) == [NOON + n * SECOND for n in (10, 20, 30, 40)]
    row = PeriodicTask.objects.get()
    assert (row.last_run_at, row.total_run_count) == (NOON + 40 * SECOND, 4)


def test_an_edited_interval_does_not_send_what_it_would_have_missed(clock: Any, beat: Scheduler, sent: Sent) -> None:
    row = every(3600, last_run_at=NOON)
    managed("a", misfire="all")
    beat.tick()
    clock.shift(1800)
    row.interval = IntervalSchedule.objects.create(every=10, period="seconds")
    row.save()
    clock.shift(35)
    beat.tick()
    assert dues(sent) == [NOON + 1830 * SECOND]
    clock.shift(25)
    beat.tick()
    assert dues(sent) == [NOON + n * SECOND for n in (1830, 1840, 1850, 1860)]


def test_all_sends_at_most_so_many_and_says_how_many_more_there_were(clock: Any, beat: Scheduler, sent: Sent) -> None:
    every(10)
    managed("a", misfire="all:2")
    beat.tick()
    clock.shift(45)
    beat.tick()
    assert dues(sent) == [NOON + n * SECOND for n in (30, 40)]
    assert [options["headers"].get("maintenance_missed") for _, options in sent] == [2, None]


@pytest.mark.parametrize(("late", "count"), [(30, 1), (30.001, 0)])
def test_within_leaves_out_what_is_later_and_says_so(
    clock: Any, beat: Scheduler, sent: Sent, caplog: pytest.LogCaptureFixture, late: float, count: int
) -> None:
    every(3600)
    managed("a", misfire="within:30")
    beat.tick()
    clock.shift(3600 + late)
    beat.tick()
    skipped = f"'a' was skipped at {(NOON + HOUR).isoformat()}: too late (misfire: within)."
    assert (len(sent), skipped in caplog.text) == (count, not count)
    clock.move_to(NOON + 2 * HOUR)
    beat.tick()
    assert dues(sent)[-1] == NOON + 2 * HOUR


@pytest.mark.parametrize(("late", "count"), [(5, 1), (5.001, 0)])
def test_skip_leaves_out_what_is_late(clock: Any, beat: Scheduler, sent: Sent, late: float, count: int) -> None:
    every(3600)
    managed("a", misfire="skip")
    beat.tick()
    clock.shift(3600 + late)
    beat.tick()
    assert len(sent) == count
    clock.move_to(NOON + 2 * HOUR)
    beat.tick()
    assert dues(sent)[-1] == NOON + 2 * HOUR


def test_a_one_off_runs_once_and_is_disabled(clock: Any, beat: Scheduler, sent: Sent) -> None:
    every(10, one_off=True)
    beat.tick()
    for _ in range(3):
        clock.shift(10)
        beat.tick()
    row = PeriodicTask.objects.get()
    assert (dues(sent), row.enabled, row.last_run_at) == ([NOON + 10 * SECOND], False, None)
    row.enabled = True
    row.save()
    beat.tick()
    clock.shift(10)
    beat.tick()
    assert len(sent) == 2, "enabled again it runs once more"


def test_a_clocked_row_runs_at_its_time(clock: Any, beat: Scheduler, sent: Sent) -> None:
    at = ClockedSchedule.objects.create(clocked_time=NOON + 10 * SECOND)
    PeriodicTask.objects.create(name="a", task="some.task", clocked=at, one_off=True)
    beat.tick()
    clock.shift(9.9)
    beat.tick()
    assert sent == []
    clock.shift(0.1)
    beat.tick()
    assert (dues(sent), PeriodicTask.objects.get().enabled) == ([NOON + 10 * SECOND], False)


def test_a_clocked_row_of_the_past_runs_late(clock: Any, beat: Scheduler, sent: Sent) -> None:
    at = ClockedSchedule.objects.create(clocked_time=NOON - HOUR)
    PeriodicTask.objects.create(name="a", task="some.task", clocked=at, one_off=True)
    beat.tick()
    assert dues(sent) == [NOON - HOUR]


@pytest.mark.parametrize(("start", "first"), [(25, 25), (-25, -5)])
def test_a_start_time_is_the_first_due_time_and_the_grids_origin(
    clock: Any, beat: Scheduler, sent: Sent, start: int, first: int
) -> None:
    every(10, start_time=NOON + start * SECOND)
    beat.tick()
    clock.shift(24.9)
    beat.tick()
    assert dues(sent) == ([NOON + first * SECOND, NOON + 15 * SECOND] if start < 0 else [])
    clock.shift(0.1)
    beat.tick()
    assert dues(sent)[-1] == NOON + 25 * SECOND


def test_an_expired_row_is_disabled_and_not_sent(clock: Any, beat: Scheduler, sent: Sent) -> None:
    every(10, expires=NOON + 15 * SECOND)
    beat.tick()
    for _ in range(2):
        clock.shift(10)
        beat.tick()
    assert (dues(sent), PeriodicTask.objects.get().enabled) == ([NOON + 10 * SECOND], False)


def test_a_crontab_runs_in_its_own_zone(clock: Any, beat: Scheduler, sent: Sent) -> None:
    crontab = CrontabSchedule.objects.create(minute="30", hour="8", timezone="America/New_York")
    PeriodicTask.objects.create(name="a", task="some.task", crontab=crontab)
    beat.tick()
    clock.move_to(NOON + 90 * MINUTE - SECOND)
    beat.tick()
    assert sent == []
    clock.move_to(NOON + 90 * MINUTE)
    beat.tick()
    assert dues(sent) == [NOON + 90 * MINUTE]


def test_the_sun_sets_once_a_day(clock: Any, beat: Scheduler, sent: Sent) -> None:
    where = SolarSchedule.objects.create(event="sunset", latitude=0, longitude=0)
    PeriodicTask.objects.create(name="a", task="some.task", solar=where)
    beat.tick()
    for hours in (6, 7, 30, 31):
        clock.move_to(NOON + hours * HOUR)
        beat.tick()
    first, second = dues(sent)
    assert 6 * HOUR < first - NOON < 6.5 * HOUR
    assert abs(second - first - 24 * HOUR) < 2 * MINUTE


def test_crontabs_of_every_hour_are_waited_for(clock: Any, beat: Scheduler, sent: Sent) -> None:
    for hour in range(24):
        crontab = CrontabSchedule.objects.create(minute="0", hour=str(hour))
        PeriodicTask.objects.create(name=f"{hour}", task="some.task", crontab=crontab)
    beat.tick()
    assert len(beat.schedule) == 24
    for _ in range(24):
        clock.shift(3600)
        beat.tick()
    assert [name for name, _ in sent] == [f"{hour % 24}" for hour in range(13, 37)]


def test_celerys_starting_deadline_holds_for_crontabs(clock: Any, app: Celery, sent: Sent) -> None:
    app.conf.beat_cron_starting_deadline = 60
    beat = Scheduler(app=app, lazy=True)
    PeriodicTask.objects.create(name="a", task="t", crontab=CrontabSchedule.objects.create(minute="0"))
    beat.tick()
    clock.shift(3661)
    beat.tick()
    assert sent == []
    clock.shift(3599)
    beat.tick()
    assert dues(sent) == [NOON + 2 * HOUR]


def test_an_unfinished_run_is_not_overlapped(
    clock: Any, app: Celery, beat: Scheduler, sent: Sent, caplog: pytest.LogCaptureFixture
) -> None:
    app.conf.update(result_backend="django-db")
    every(10)
    managed("a", no_overlap=True, misfire="all")
    beat.tick()
    for _ in range(3):
        clock.shift(10)
        beat.tick()
    assert dues(sent) == [NOON + 10 * SECOND]
    assert caplog.text.count("its previous run is unfinished") == 2
    TaskResult.objects.create(task_id=sent[0][1]["task_id"], status="SUCCESS")
    clock.shift(10)
    beat.tick()
    assert dues(sent) == [NOON + 10 * SECOND, NOON + 40 * SECOND]


@pytest.mark.parametrize(("age", "count"), [(2 * HOUR - 10 * SECOND, 1), (2 * HOUR, 2)])
def test_a_lost_run_is_waited_for_so_long(
    clock: Any, app: Celery, beat: Scheduler, sent: Sent, age: timedelta, count: int
) -> None:
    app.conf.update(result_backend="django-db")
    every(10)
    managed("a", no_overlap=True)
    beat.tick()
    clock.shift(10)
    beat.tick()
    clock.shift(age)
    beat.tick()
    assert len(sent) == count


def test_an_earlier_beats_result_counts_by_its_name(clock: Any, app: Celery, beat: Scheduler, sent: Sent) -> None:
    app.conf.update(result_backend="django-db")
    every(10, last_run_at=NOON - 10 * SECOND)
    managed("a", no_overlap=True)
    TaskResult.objects.create(task_id=str(uuid4()), status="FAILURE", periodic_task_name="a")
    beat.tick()
    assert dues(sent) == [NOON]
