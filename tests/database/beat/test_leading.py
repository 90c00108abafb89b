"""Only the leader sends, and each record once: standbys, dead leaders, outages, a stop in mid-tick."""

import logging
import threading
from collections.abc import Collection
from typing import Any

import pytest
from celery import Celery
from django.db import OperationalError
from django_celery_beat.models import PeriodicTask
from kombu.transport.memory import Transport

from maintenance import lease
from maintenance.beat import due, ledger, now, outbox
from maintenance.beat.leader import NAME, Leader
from maintenance.beat.scheduler import Scheduler, UnleasedScheduler
from maintenance.beat.sending import Sender
from maintenance.errors import Unavailable
from maintenance.models import Dispatch, Lease
from tests.servers import free_port

from .rows import HOUR, NOON, SECOND, Sent, dues, every, managed

pytestmark = pytest.mark.django_db


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


@pytest.mark.parametrize(("interval", "limit"), [(5, 60), (30, 60), (31, 62), (300, 600)])
def test_the_watchdog_waits_a_minute_or_two_loops(app: Celery, interval: int, limit: int) -> None:
    assert Scheduler(app=app, lazy=True, max_interval=interval)._watchdog.limit == limit


def test_the_lease_is_renewed_by_a_third_of_its_time_and_sure_for_no_longer_than_that() -> None:
    at = [0.0]
    leader = Leader(ttl=15 * SECOND, using="default", clock=lambda: at[0])
    assert (leader.patience, leader.sure, leader.lead()) == (5, False, True)
    at[0] = 5.0
    assert leader.lead()
    sure = []
    for at[0] in (19.999, 20.0):
        sure.append(leader.sure)
    assert sure == [True, False]
    assert leader.lead()
    Lease.objects.update(holder="another beat")
    at[0] = 22.0
    assert leader.lead(), "nobody asks so often"
    at[0] = 25.0
    assert (leader.lead(), leader.sure) == (False, False)


def test_the_record_and_the_row_are_written_together_or_not_at_all(
    clock: Any, beat: Scheduler, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    every(10)
    beat.tick()
    clock.shift(10)

    def locked(*args: object) -> None:
        raise OperationalError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "_advance", locked)
        assert beat.tick() == 1.0
    assert (sent, Dispatch.objects.count(), PeriodicTask.objects.get().last_run_at) == ([], 0, None)
    beat.tick()
    assert dues(sent) == [NOON + 10 * SECOND]


@pytest.mark.parametrize(("seconds", "batches"), [(60, [50, 50, 20]), (0, [1] * 120)])
def test_what_was_sent_is_marked_after_50_messages_or_a_while(
    clock: Any,
    beat: Scheduler,
    sent: Sent,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    batches: list[int],
) -> None:
    assert outbox.MARK_EVERY == 0.1
    marked: list[int] = []
    really = ledger.mark_sent

    def mark(task_ids: Collection[str], **how: Any) -> None:
        marked.append(len(task_ids))
        really(task_ids, **how)

    monkeypatch.setattr(ledger, "mark_sent", mark)
    monkeypatch.setattr(outbox, "MARK_EVERY", seconds)
    for number in range(120):
        every(10, f"{number}")
    beat.tick()
    clock.shift(10)
    beat.tick()
    assert (len(sent), marked, Dispatch.objects.count()) == (120, batches, 0)


def test_everything_is_sent_over_one_connection(clock: Any, app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Transport] = []
    really = Transport.establish_connection

    def establish(self: Transport) -> Any:
        # Of this thread: a health check that another test left hanging may connect meanwhile.
        if threading.current_thread() is threading.main_thread():
            opened.append(self)
        return really(self)

    with app.connection_for_read() as connection:
        connection.SimpleQueue("celery").clear()  # of what other tests sent
    monkeypatch.setattr(Transport, "establish_connection", establish)
    for number in range(20):
        every(10, f"{number}")
    beat = Scheduler(app=app, lazy=True)
    beat.tick()
    for _ in range(2):
        clock.shift(10)
        beat.tick()
    assert len(opened) == 1
    with app.connection_for_read() as connection:
        assert connection.SimpleQueue("celery").qsize() == 40
    beat.close()


def test_a_result_store_that_is_down_does_not_concern_beat(clock: Any) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    app = Celery("elsewhere", broker="memory://", backend=nowhere, set_as_current=False)
    app.conf.update(
        task_default_queue="elsewhere", result_backend_transport_options={"retry_policy": {"max_retries": 0}}
    )
    every(10, "one")
    beat = Scheduler(app=app, lazy=True)
    beat.tick()
    clock.shift(10)
    beat.tick()
    with app.connection_for_read() as connection:
        assert connection.SimpleQueue("elsewhere").qsize() == 1
    assert not Dispatch.objects.exists()
    beat.close()
    with pytest.raises(Unavailable, match="The result store is unavailable: Retry limit exceeded"):
        now.send("one", app=app, broker="memory://", using="default")


@pytest.mark.parametrize(
    ("given", "setting", "pause"), [({}, {}, 2.5), ({"max_interval": 1}, {}, 1), ({}, {"beat_max_loop_interval": 2}, 2)]
)
def test_it_looks_again_after_max_interval_at_the_latest(
    clock: Any, app: Celery, sent: Sent, given: dict[str, int], setting: dict[str, int], pause: float
) -> None:
    every(3600)
    app.conf.update(setting)
    assert Scheduler(app=app, lazy=True, **given).tick() == pause
