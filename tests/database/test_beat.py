"""The scheduler on a database: rows become due entries, each due time is recorded once, and only the leader sends."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from celery import Celery
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks
from django_celery_results.models import TaskResult

from maintenance import lease
from maintenance.beat import due, ledger
from maintenance.beat.leader import NAME
from maintenance.beat.scheduler import Scheduler, UnleasedScheduler
from maintenance.beat.sending import Sender
from maintenance.models import Dispatch, Lease, ManagedSchedule
from maintenance.schedules.cleanup import BACKEND_CLEANUP, PURGE

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
Sent = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOON, tick=False) as coordinates:
        yield coordinates


@pytest.fixture
def app() -> Celery:
    found = Celery("beat-tests", broker="memory://", set_as_current=False)
    found.conf.result_expires = None
    return found


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """What was sent, as (name, options) with the task's id, instead of a broker."""
    messages: Sent = []

    def send(self: Sender, record: ledger.Record) -> None:
        messages.append((record.name, {**record.message["options"], "task_id": record.task_id}))

    monkeypatch.setattr(Sender, "open", lambda self: None)
    monkeypatch.setattr(Sender, "send", send)
    return messages


@pytest.fixture
def beat(app: Celery) -> Scheduler:
    return Scheduler(app=app, lazy=True)


def every(seconds: int, name: str = "a", **fields: Any) -> PeriodicTask:
    interval, _ = IntervalSchedule.objects.get_or_create(every=seconds, period="seconds")
    return PeriodicTask.objects.create(name=name, task="some.task", interval=interval, **fields)


def managed(name: str, **fields: Any) -> None:
    ManagedSchedule.objects.create(name=name, fingerprint="", applied_at=NOON, **fields)


def dues(sent: Sent, name: str = "a") -> list[datetime]:
    return [datetime.fromisoformat(options["headers"]["maintenance_due"]) for who, options in sent if who == name]


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


def test_an_interval_that_never_rests_is_reported(
    clock: Any, beat: Scheduler, sent: Sent, caplog: pytest.LogCaptureFixture
) -> None:
    every(0)
    beat.tick()
    assert "Schedule 'a' cannot be used: its interval of 0 seconds never rests." in caplog.text


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


def test_a_standby_sends_nothing_and_says_who_leads(
    clock: Any, app: Celery, beat: Scheduler, sent: Sent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "maintenance.beat")
    every(10)
    other = Scheduler(app=app, lazy=True)
    beat.tick()
    clock.shift(10)
    assert other.tick() == 1.0
    other.tick()
    assert sent == []
    assert caplog.text.count("Standing by: ") == 1
    beat.tick()
    assert len(sent) == 1
    beat.close()
    clock.shift(10)
    other.tick()
    assert dues(sent) == [NOON + 10 * SECOND, NOON + 20 * SECOND]
    assert Lease.objects.get(name=NAME).generation == 2


def test_a_stale_leader_records_nothing(clock: Any, app: Celery, beat: Scheduler, sent: Sent) -> None:
    every(10)
    beat.tick()
    Lease.objects.update(holder="another beat")
    clock.shift(10)
    assert beat.tick() == 1.0
    assert (sent, Dispatch.objects.count(), PeriodicTask.objects.get().last_run_at) == ([], 0, None)


def test_what_a_dead_leader_recorded_is_sent_by_the_next_with_the_same_id(
    clock: Any, app: Celery, beat: Scheduler, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    every(10)
    beat.tick()
    clock.shift(10)
    with monkeypatch.context() as patch:
        patch.setattr(Scheduler, "_send", lambda self: True)
        beat.tick()  # killed here: recorded, not sent
    Lease.objects.all().delete()
    PeriodicTask.objects.all().delete()  # and what was recorded does not depend on its row
    Scheduler(app=app, lazy=True).tick()
    at = NOON + 10 * SECOND
    assert [(name, options["task_id"]) for name, options in sent] == [("a", due.task_id("a", at))]
    assert Dispatch.objects.count() == 0


def test_a_broker_that_is_away_delays_and_loses_nothing(
    clock: Any, beat: Scheduler, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    every(10)
    managed("a", misfire="all")
    beat.tick()

    def refuse(self: Sender, *args: object) -> None:
        raise ConnectionRefusedError(111, "refused")

    with monkeypatch.context() as patch:
        patch.setattr(Sender, "send", refuse)
        clock.shift(10)
        assert beat.tick() == 1.0
        patch.setattr(Sender, "open", refuse)
        for _ in range(3):
            clock.shift(10)
            assert beat.tick() == 1.0
        assert Dispatch.objects.count() == 1, "nothing more is recorded while the broker is away"
    beat.tick()
    assert dues(sent) == [NOON + n * SECOND for n in (10, 20, 30, 40)]
    assert Dispatch.objects.count() == 0


def test_a_database_error_is_no_leadership(
    clock: Any, beat: Scheduler, sent: Sent, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    every(10)
    beat.tick()
    clock.shift(10)

    def locked(*args: object, **kwargs: object) -> None:
        raise OperationalError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "record", locked)
        assert beat.tick() == 1.0
    assert sent == []
    assert "Not leading: the database cannot be used (database is locked). Trying again." in caplog.text
    beat.tick()
    assert dues(sent) == [NOON + 10 * SECOND]


def test_a_message_that_was_sent_and_not_marked_is_not_sent_again_by_us(
    clock: Any, beat: Scheduler, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    every(10)
    beat.tick()
    clock.shift(10)

    def locked(*args: object, **kwargs: object) -> None:
        raise OperationalError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "mark_sent", locked)
        beat.tick()
    assert Dispatch.objects.count() == 1
    beat.tick()
    assert (len(sent), Dispatch.objects.count()) == (1, 0)


def test_a_stop_in_mid_tick_sends_what_is_recorded_and_gives_the_lease_up(
    clock: Any, beat: Scheduler, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        every(10, name)
    beat.tick()
    clock.shift(10)
    send = Sender.send

    def interrupted(self: Sender, record: ledger.Record) -> None:
        if record.name == "b":
            beat.close()  # what Celery's handler of SIGTERM does first
            raise SystemExit
        send(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(Sender, "send", interrupted)
        with pytest.raises(SystemExit):
            beat.tick()
    assert lease.find(NAME) is not None, "within a tick nothing is given up"
    beat.close()
    assert ([name for name, _ in sent], Dispatch.objects.count()) == (["a", "b", "c"], 0)
    assert lease.find(NAME) is None


def test_a_message_that_cannot_be_sent_at_all_does_not_stop_the_others(
    clock: Any, beat: Scheduler, sent: Sent, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    every(10, "bad")
    every(10, "good")
    beat.tick()
    clock.shift(10)
    send = Sender.send

    def pick(self: Sender, record: ledger.Record) -> None:
        if record.name == "bad":
            raise KeyError("no queue of that name")
        send(self, record)

    monkeypatch.setattr(Sender, "send", pick)
    beat.tick()
    assert ([name for name, _ in sent], Dispatch.objects.count()) == (["good"], 0)
    assert "'bad' was not sent at all: KeyError('no queue of that name'). Correct its row." in caplog.text


def test_without_a_lease_it_sends_beside_another_leader(clock: Any, app: Celery, sent: Sent) -> None:
    assert lease.acquire(NAME, holder="another beat", ttl=HOUR)
    every(10)
    beat = UnleasedScheduler(app=app, lazy=True)
    beat.tick()
    clock.shift(10)
    beat.tick()
    assert len(sent) == 1


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
