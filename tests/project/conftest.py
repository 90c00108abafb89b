"""Fixtures of the project's tests, which run with opsproject's own settings."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

SELECTED = os.environ.get("DJANGO_SETTINGS_MODULE") == "opsproject.settings"
if not SELECTED:
    collect_ignore_glob = ["test_*.py"]


def pytest_report_header() -> str | None:
    """Say why nothing of tests/project is collected."""
    return None if SELECTED else "tests/project needs: -p tests.project.environment --ds=opsproject.settings"


class Outbox:
    """What was really published, in a broker within this process."""

    def __init__(self, app: Celery, channel: Any) -> None:
        self.app, self._channel = app, channel

    def count(self, queue: str = "default") -> int:
        return int(self._channel._size(queue))

    def take(self, queue: str = "default") -> tuple[str, list[Any]]:
        """Return the next message's task name and positional arguments, and remove it."""
        message = self._channel.basic_get(queue, no_ack=True)
        assert message is not None, f"nothing in {queue!r}"
        return message.headers["task"], list(message.decode()[0])


@pytest.fixture
def outbox() -> Iterator[Outbox]:
    """Exchange the broker for kombu's memory transport, for one test."""
    from opsproject import celery_app

    memory = {"broker_url": "memory://localhost/", "broker_transport_options": {}}
    before = {name: celery_app.conf[name] for name in memory}
    _connect(celery_app, memory)
    with celery_app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        yield Outbox(celery_app, channel)
        for queue in celery_app.conf.task_queues:
            channel.queue_purge(queue.name)
    _connect(celery_app, before)


def _connect(app: Any, settings: dict[str, Any]) -> None:
    """Make Celery forget its pools, which hold connections to the broker it had before."""
    app.conf.update(settings)
    app._pool = None
    app.amqp._producer_pool = None
