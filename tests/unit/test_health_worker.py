"""Whether workers answer, and which queues they consume: beat, which answers too, is none."""

from typing import Any

import pytest
from celery import Celery
from health_check.exceptions import ServiceUnavailable
from kombu import Queue

from maintenance.health.base import Figure
from maintenance.health.checks import Queues, Workers
from maintenance.health.runner import ask


def answering(monkeypatch: pytest.MonkeyPatch, *replies: dict[str, Any]) -> Celery:
    app = Celery("health", broker="memory://", task_create_missing_queues=False, set_as_current=False)
    app.conf.task_queues = [Queue("a"), Queue("b")]

    def broadcast(command: str, *, callback: Any, **options: Any) -> None:
        assert command == "active_queues"
        for reply in replies:
            callback(reply)

    monkeypatch.setattr(app.control, "broadcast", broadcast)
    return app


def consuming(name: str, *queues: str) -> dict[str, Any]:
    return {name: [{"name": queue} for queue in queues]}


def test_it_stops_listening_once_every_queue_has_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    app = answering(monkeypatch, consuming("one@a", "a", "b"), consuming("never@heard", "a"))
    assert list(Workers(app, wait=5).ask()) == [Figure("workers_answering", 1), "one@a answers."]


def test_a_queue_without_a_worker_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    app = answering(monkeypatch, consuming("two@a", "a"), consuming("one@a", "a", "other"))
    assert list(Workers(app, wait=5).ask())[1] == "one@a, two@a answer."
    answer = ask(Queues(app, wait=5))
    assert answer.figures == (
        Figure("queue_consumers", 2, {"queue": "a"}),
        Figure("queue_consumers", 0, {"queue": "b"}),
    )
    assert answer.finding.message == "No worker that answers within 5s consumes 'b'."


def test_beat_alone_does_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    app = answering(monkeypatch, {"celerybeat@a": {"error": "unknown"}}, {"odd@a": {"error": "unknown"}})
    with pytest.raises(ServiceUnavailable) as ill:
        list(Workers(app, wait=0.01).ask())
    assert ill.value.message == "None answers within 0.01s."
