"""A scheduler under a clock that stands still, whose messages go into a list."""

from collections.abc import Iterator

import pytest
import time_machine
from celery import Celery

from maintenance.beat import ledger
from maintenance.beat.scheduler import Scheduler
from maintenance.beat.sending import Sender

from .rows import NOON, Sent


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
