"""manage.py run_schedule"""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from django_celery_beat.schedulers import ModelEntry

from maintenance.beat.scheduler import Scheduler
from maintenance.models import ManagedSchedule
from tests.celery import app
from tests.conftest import Outcome
from tests.servers import free_port

Run = Callable[..., Outcome]
TASK = "celery.accumulate"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def row() -> PeriodicTask:
    minute = IntervalSchedule.objects.create(every=1, period="minutes")
    return PeriodicTask.objects.create(
        name="it", task=TASK, interval=minute, args="[1, 2]", kwargs='{"a": 1}', queue="heavy", priority=3,
        expire_seconds=60, headers='{"h": 1}',
    )  # fmt: skip


@pytest.fixture(autouse=True)
def queues() -> Iterator[None]:
    """Forget queues that sending declares: run_worker would consume them in another test."""
    known = dict(app.amqp.queues)
    yield
    for name in set(app.amqp.queues) - set(known):
        app.amqp.queues.deselect([name])
        del app.amqp.queues[name]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []

    class Result:
        id = "the-id"

    def apply_async(args: Any, kwargs: Any, **options: Any) -> Result:
        calls.append((args, kwargs, options))
        return Result()

    monkeypatch.setattr(app.tasks[TASK], "apply_async", apply_async)
    return calls


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [("args", "{", "its args '{' are no JSON list"), ("headers", "[]", "its headers '[]' are no JSON object")],
)
def test_a_corrupt_row_is_named_and_not_sent(run: Run, sent: list[Any], column: str, value: str, why: str) -> None:
    PeriodicTask.objects.update(**{column: value})
    err = f"CommandError: The schedule 'it' cannot be sent: {why}. Mend it in the admin.\n"
    assert (run("run_schedule", "it"), sent) == (("", err, 1), [])


def test_it_sends_what_beat_sends_and_prints_the_id(run: Run, row: PeriodicTask, sent: list[Any]) -> None:
    assert run("run_schedule", "it") == ("the-id\n", "", 0)
    beats = ModelEntry(row)
    headers = {"h": 1, "periodic_task_name": "it", "celery_beat_task": True}
    assert [call[:2] for call in sent] == [(beats.args, beats.kwargs)]
    assert {name: sent[0][2][name] for name in beats.options} == {**beats.options, "headers": headers}
    assert sorted(sent[0][2]) == ["expires", "headers", "priority", "producer", "queue", "retry"]


def taken(queue: str) -> tuple[Any, Any, Any]:
    """Take the one message out of ``queue``: its body, headers and properties, without what is every message's own."""
    with app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        first, second = (channel.basic_get(queue, no_ack=True) for _ in range(2))
    assert (first is None, second) == (False, None)
    headers = {name: value for name, value in first.headers.items() if name not in ("id", "root_id")}
    properties = {name: first.properties[name] for name in ("priority", "delivery_mode", "body_encoding")}
    return first.payload, headers, (properties, first.properties["delivery_info"])


@pytest.mark.parametrize("task", [TASK, "nobody.knows"])
def test_the_message_is_beats_own(run: Run, row: PeriodicTask, task: str) -> None:
    at = datetime(2030, 1, 1, 12, tzinfo=UTC)
    PeriodicTask.objects.update(task=task, last_run_at=at - timedelta(minutes=1), routing_key="heavy")
    options = {"time_limit": 9, "ignore_result": True, "expires": 1.5, "headers": {"kept": True}}
    ManagedSchedule.objects.create(name="it", fingerprint="x", applied_at=at, options=options)
    with time_machine.travel(at, tick=False):
        beat = Scheduler(app=app, lazy=True)
        beat.tick()
        beat.close()
        by_beat = taken("heavy")
        out, err, code = run("run_schedule", "it")
        by_hand = taken("heavy")
    assert (len(out), err, code) == (37, "", 0)
    assert by_beat[1].pop("maintenance_due") == at.isoformat(), "only a due time has one"
    assert by_hand == by_beat
    body, headers, (properties, _) = by_hand
    assert body[:2] == [[1, 2], {"a": 1}]
    assert {name: headers[name] for name in ("task", "h", "kept", "periodic_task_name", "celery_beat_task")} == {
        "task": task, "h": 1, "kept": True, "periodic_task_name": "it", "celery_beat_task": True,
    }  # fmt: skip
    assert (headers["timelimit"], headers["expires"], headers["ignore_result"], properties["priority"]) == (
        [9, None], "2030-01-01T06:00:01.500000-06:00", True, 3,
    )  # fmt: skip


def test_what_the_table_cannot_hold_is_sent_too(run: Run, row: PeriodicTask, sent: list[Any]) -> None:
    ManagedSchedule.objects.create(name="it", fingerprint="x", applied_at=row.date_changed, options={"time_limit": 5})
    out, err, code = run("run_schedule", "it", "--json")
    assert (json.loads(out), err, code) == (
        {"schema_version": 1, "name": "it", "task": TASK, "id": "the-id"},
        "",
        0,
    )
    assert sent[0][2]["time_limit"] == 5


def test_an_unknown_schedule_and_bad_arguments(run: Run) -> None:
    assert run("run_schedule", "itt") == ("", "CommandError: No schedule is named 'itt'. Did you mean 'it'?\n", 2)
    PeriodicTask.objects.update(args="[1")
    assert run("run_schedule", "it") == (
        "",
        "CommandError: The schedule 'it' cannot be sent: its args '[1' are no JSON list. Mend it in the admin.\n",
        1,
    )


@pytest.fixture
def eager() -> Iterator[None]:
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


def test_wait_shows_the_result(run: Run, eager: None) -> None:
    PeriodicTask.objects.update(args="[1, 2]", kwargs="{}")
    out, err, code = run("run_schedule", "it", "--wait")
    assert (re.sub(r"^[-0-9a-f]{36}", "ID", out), err, code) == ("ID  SUCCESS (1, 2)\n", "", 0)
    PeriodicTask.objects.update(kwargs='{"index": "x"}')
    out, err, code = run("run_schedule", "it", "--wait")
    assert (out, code) == ("", 1)
    assert re.search(r"The task [-0-9a-f]{36} ended with FAILURE: TypeError", err)


def test_wait_gives_up_after_its_time(run: Run, sent: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from celery.exceptions import TimeoutError as NotFinished

    class Never:
        id = "the-id"
        ignored = False

        def get(self, *, timeout: float, propagate: bool) -> None:
            assert (timeout, propagate) == (timedelta(minutes=2).total_seconds(), False)
            raise NotFinished

    monkeypatch.setattr(app.tasks[TASK], "apply_async", lambda *args, **options: Never())
    assert run("run_schedule", "it", "--wait", "--timeout=2m") == (
        "",
        "CommandError: The task the-id did not finish within 2m. "
        "Is there a worker for its queue? Look at its result later, or pass a longer --timeout.\n",
        75,
    )


def test_wait_says_that_nobody_keeps_the_result(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.tasks[TASK], "ignore_result", True)
    assert run("run_schedule", "it", "--wait") == (
        "",
        f"CommandError: The result is unavailable: the task {TASK!r} ignores its results.\n",
        69,
    )
    taken("heavy")


def test_a_broker_that_is_down_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("CELERY_BROKER_URL", f"redis://:secret@127.0.0.1:{port}/0")
    out, err, code = run("run_schedule", "it")
    assert (out, code) == ("", 69)
    assert err.startswith(f"CommandError: The broker redis://:**@127.0.0.1:{port}/0 is unavailable: Error 111")
