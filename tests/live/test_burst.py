"""What --burst waits for: messages in its queues, and those that any worker holds, whatever their routing keys."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu import Connection, Exchange, Queue

from maintenance.worker import burst
from tests.processes import Project, wait_for
from tests.servers import Valkey

HEAVY = Queue("heavy", Exchange("work", type="topic"), routing_key="work.heavy.#")
LIGHT = Queue("light", Exchange("work", type="topic"), routing_key="work.light.#")


@pytest.fixture(params=["", "ops:"], ids=["plain", "with a prefix"])
def app(request: pytest.FixtureRequest, valkey: Valkey) -> Celery:
    """An app whose queues' names differ from their routing keys."""
    made = Celery("burst", broker=valkey.url, set_as_current=False)
    made.conf.update(task_queues=(HEAVY, LIGHT), broker_transport_options={"global_keyprefix": request.param})
    with made.connection_for_write() as connection:
        for queue in (HEAVY, LIGHT):
            queue(connection.default_channel).declare()
    return made


@pytest.fixture
def holder(app: Celery) -> Iterator[Callable[[str], Any]]:
    """Take a message off a queue, as a worker does that has not acknowledged it yet."""
    with app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        yield channel.basic_get


@pytest.fixture
def waiting(app: Celery) -> Callable[..., int]:
    """Ask what a burst of some queues waits for."""

    def ask(*queues: str, max_wait: float = 0) -> int:
        with app.connection_for_read() as connection:
            assert isinstance(connection, Connection)
            return burst.waiting(app, connection, set(queues), max_wait=max_wait)

    return ask


def send(app: Celery, routing_key: str, **options: Any) -> None:
    app.send_task("some.task", queue="heavy", routing_key=routing_key, **options)


def test_what_is_queued_or_held_counts_for_its_own_queue(
    app: Celery, holder: Callable[[str], Any], waiting: Callable[..., int]
) -> None:
    assert waiting("heavy") == 0
    send(app, "work.heavy.import")
    assert (waiting("heavy"), waiting("light"), waiting("heavy", "light")) == (1, 0, 1)
    message = holder("heavy")
    assert message is not None
    assert (waiting("heavy"), waiting("light"), waiting("heavy", "light")) == (1, 0, 1)
    message.ack()
    assert waiting("heavy") == 0


@pytest.mark.parametrize(("max_wait", "count"), [(50, 0), (70, 1)])
def test_a_held_message_of_a_later_eta_counts_within_the_wait_only(
    app: Celery, holder: Callable[[str], Any], waiting: Callable[..., int], max_wait: float, count: int
) -> None:
    send(app, "work.heavy.import", eta=datetime.now(UTC) + timedelta(minutes=1))
    kept = holder("heavy")
    assert kept is not None
    assert waiting("heavy", max_wait=max_wait) == count


def test_a_burst_outlives_a_broker_that_is_gone_for_a_while(tmp_path: Path) -> None:
    valkey, trace = Valkey(tmp_path / "valkey", "--appendonly", "yes"), tmp_path / "trace"
    valkey.start()
    # What was held as the broker went away comes back after the visibility timeout, and is waited for.
    env = {"REDIS_URL": valkey.url, "TRACE": str(trace), "VISIBILITY_TIMEOUT": "4"}
    project = Project(tmp_path / "project", settings="tests.live.settings", **env)
    try:
        project.manage("migrate", "--no-input", "-v", "0")
        project.python("from tests.live.app.tasks import work\nfor i in range(4): work.delay(f't{i}', 2)")
        worker = project.start("run_worker", "--burst", "-P", "threads", "-c", "2")
        wait_for(lambda: trace.exists() and "start" in trace.read_text(), seconds=60, about="a running task")
        valkey.stop()
        worker.wait_for_line(r"The broker cannot tell what is left \(.*\)\. Asking again\.", seconds=30)
        valkey.start()
        assert worker.wait(seconds=90) == 0, worker.output
        assert "Nothing is left on default, heavy_tasks: the burst is over." in worker.output
        finished = {line.split()[1] for line in trace.read_text().splitlines() if line.startswith("finish")}
        assert finished == {"t0", "t1", "t2", "t3"}
    finally:
        project.close()
        valkey.stop()
