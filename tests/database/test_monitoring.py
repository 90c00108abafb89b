"""What a schedule's monitor hears of a run, and what it hears not."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import Task, shared_task

from maintenance import lease, ping, tasks
from tests.monitor import Monitor
from tests.servers import free_port

pytestmark = pytest.mark.django_db
NIGHTLY = {"periodic_task_name": "nightly"}


@shared_task(name="tests.monitored", bind=True, max_retries=1)
def monitored(self: "Task[Any, Any]", outcome: str = "") -> dict[str, str]:
    if outcome == "retry" and not self.request.retries:
        raise self.retry(countdown=0)
    if outcome == "fail":
        raise ValueError(outcome)
    return {"skipped": "is a word that any task may use"}


@pytest.fixture
def monitor(settings: Any) -> Iterator[Monitor]:
    server = Monitor()
    settings.MAINTENANCE = {"SCHEDULES": {"nightly": {"ping": server.url}}}
    yield server
    server.close()


def heard(monitor: Monitor) -> list[str]:
    return [path.removeprefix("/ping/0f7c-secret") for path in monitor.paths]


@pytest.mark.parametrize(
    ("outcome", "signs"),
    [("", ["/start", ""]), ("fail", ["/start", "/fail"]), ("retry", ["/start", "/start", ""])],
)
def test_any_task_of_a_schedule_is_told_of(monitor: Monitor, outcome: str, signs: list[str]) -> None:
    monitored.apply(kwargs={"outcome": outcome}, headers=NIGHTLY)
    assert heard(monitor) == signs


def test_a_maintenance_task_is_told_of_once(monitor: Monitor) -> None:
    tasks.clear_sessions.apply(headers=NIGHTLY)
    assert heard(monitor) == ["/start", ""]


def test_a_run_that_met_another_is_neither_success_nor_failure(monitor: Monitor) -> None:
    lease.acquire("maintenance.clear_sessions", holder="another id", ttl=timedelta(minutes=5))
    assert "skipped" in tasks.clear_sessions.apply(headers=NIGHTLY).get()
    assert heard(monitor) == []


def test_other_schedules_and_runs_by_hand_are_not_told_of(monitor: Monitor) -> None:
    monitored.apply(headers={"periodic_task_name": "another"})
    monitored.apply()
    tasks.clear_sessions.apply()
    assert heard(monitor) == []


@pytest.mark.parametrize(("status", "reason"), [(500, "it answered 500"), (None, "Connection refused")])
def test_a_ping_that_fails_is_a_line_in_the_log_without_its_url(
    monitor: Monitor, settings: Any, caplog: pytest.LogCaptureFixture, status: int | None, reason: str
) -> None:
    if status:
        monitor.status = status
    else:
        settings.MAINTENANCE = {"SCHEDULES": {"nightly": {"ping": f"http://127.0.0.1:{free_port()}/secret"}}}
    assert monitored.apply(headers=NIGHTLY).get() == {"skipped": "is a word that any task may use"}
    assert [record.getMessage() for record in caplog.records if record.name == "maintenance.monitoring"] == [
        f"Schedule 'nightly': the ping 'start' to 127.0.0.1 failed: {reason}.",
        f"Schedule 'nightly': the ping 'success' to 127.0.0.1 failed: {reason}.",
    ]


def test_a_silent_monitor_does_not_hold_a_task_up(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monitor.drip = True
    assert ping.SECONDS == 5.0
    monkeypatch.setattr(ping.send, "__kwdefaults__", {"document": None, "seconds": 0.3})
    assert monitored.apply(headers=NIGHTLY).successful()
    assert [record.getMessage().rpartition(": ")[2] for record in caplog.records if "ping" in record.getMessage()] == [
        "no answer within 0.3s.",
        "no answer within 0.3s.",
    ]
