"""Whether a worker answers: beat, which answers pings too, is none."""

from typing import Any

import pytest
from celery import Celery

from maintenance.health.runner import Unhealthy
from maintenance.health.stack import Worker


def answering(monkeypatch: pytest.MonkeyPatch, *rounds: list[str]) -> Celery:
    app = Celery("health", broker="memory://")
    answers = iter(rounds)

    def ping(**options: Any) -> list[dict[str, Any]]:
        return [{name: {"ok": "pong"}} for name in next(answers, [])]

    monkeypatch.setattr(app.control, "ping", ping)
    return app


def test_the_first_worker_that_answers_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Worker(answering(monkeypatch, ["celery@a"]), wait=5).run() == "celery@a answers."


def test_beat_is_no_worker_but_hides_none(monkeypatch: pytest.MonkeyPatch) -> None:
    app = answering(monkeypatch, ["celerybeat@a"], ["celerybeat@a", "heavy@a", "celery@a"])
    assert Worker(app, wait=5).run() == "celery@a, heavy@a answers."


def test_beat_alone_does_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unhealthy) as caught:
        Worker(answering(monkeypatch, ["celerybeat@a"], ["celerybeat@a"]), wait=0.01).run()
    assert str(caught.value) == "None answers within 0.01s."
