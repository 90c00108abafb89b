"""Beat's word at its start when the tables are not what is declared. It writes nothing, and nothing stops it."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from django.db import OperationalError, connection
from django_celery_beat.models import PeriodicTask

from maintenance.beat.scheduler import Scheduler
from maintenance.schedules import stored
from tests.celery import app
from tests.conftest import Outcome

TASK = "celery.accumulate"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def declare() -> Iterator[Callable[..., None]]:
    before = app.conf.beat_schedule

    def declarer(**entries: Any) -> None:
        app.conf.beat_schedule = entries

    yield declarer
    app.conf.beat_schedule = before


@pytest.fixture
def start(caplog: pytest.LogCaptureFixture, django_assert_num_queries: Any) -> Callable[..., list[str]]:
    """Start beat and return its warnings; ``reads`` is how many queries it may make."""

    def starter(of: Celery = app) -> list[str]:
        caplog.clear()

        def refuse_writes(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            assert sql.split()[0] == "SELECT", sql
            return execute(sql, params, many, context)

        with connection.execute_wrapper(refuse_writes):
            Scheduler(app=of)
        return [record.message for record in caplog.records if record.levelno >= logging.WARNING]

    return starter


def test_it_says_nothing_when_all_is_applied(declare: Any, start: Any, run: Callable[..., Outcome]) -> None:
    declare(it={"task": TASK, "schedule": 5})
    run("sync_schedules")
    assert start() == []


def test_it_counts_what_is_not_applied(declare: Any, start: Any, run: Callable[..., Outcome]) -> None:
    declare(goes={"task": TASK, "schedule": 5}, changes={"task": TASK, "schedule": 5})
    run("sync_schedules")
    declare(changes={"task": TASK, "schedule": 6}, a={"task": TASK, "schedule": 5}, b={"task": TASK, "schedule": 5})
    assert start() == [
        "The tables are not what is declared (2 to create, 1 to update, 1 to disable). Run `manage.py sync_schedules`."
    ]
    assert PeriodicTask.objects.count() == 2


@pytest.mark.parametrize("entry", [7, {"task": TASK, "schedule": None}, {"task": "celery.acumulate", "schedule": 5}])
def test_a_wrong_entry_does_not_stop_it(declare: Any, start: Any, entry: Any) -> None:
    declare(wrong=entry, good={"task": TASK, "schedule": 5})
    assert start() == [
        "1 declared schedule cannot be used, 'wrong' for one: the tables are used as they are. "
        "Run `manage.py sync_schedules --check`."
    ]


def test_tasks_that_cannot_be_imported_do_not_stop_it(start: Any) -> None:
    broken = Celery("broken", broker="memory://", set_as_current=False, imports=["nowhere.to_be_found"])
    assert start(broken) == [
        "The declared schedules cannot be read: The project's tasks cannot be imported: No module named 'nowhere'. "
        "Mend the module that it names, or install what is missing."
    ]


def test_a_database_that_is_down_does_not_stop_it(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(**using: str) -> None:
        raise OperationalError("down")

    monkeypatch.setattr(stored, "read", down)
    assert start() == []
