"""manage.py run_schedule"""

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from django_celery_beat.schedulers import ModelEntry

from maintenance.models import ManagedSchedule
from tests.celery import app
from tests.conftest import Outcome

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


def test_it_sends_what_beat_sends_and_prints_the_id(run: Run, row: PeriodicTask, sent: list[Any]) -> None:
    assert run("run_schedule", "it") == ("the-id\n", "", 0)
    beats = ModelEntry(row)
    assert sent == [(tuple(beats.args), beats.kwargs, beats.options)]
    assert sent[0][2] == {
        "queue": "heavy", "priority": 3, "expires": 60, "headers": {"h": 1, "periodic_task_name": "it"},
    }  # fmt: skip


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
        "CommandError: The schedule 'it' has args that are not JSON: '[1'. Mend them in the admin.\n",
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
