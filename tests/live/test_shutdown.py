"""SIGTERM loses nothing: on every pool, tasks longer than the grace run again after the restart."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from tests.processes import Process, Project, wait_for
from tests.servers import RabbitMQ, Valkey

READY = r"ready\."


class Traced:
    """A project whose traced tasks can be sent, and their trace read."""

    def __init__(self, project: Project, trace: Path) -> None:
        self.project, self.trace = project, trace

    def send(self, task: str, *, count: int, seconds: float) -> None:
        self.project.python(
            f"from tests.live.app import tasks\nfor i in range({count}): tasks.{task}.delay(f't{{i}}', {seconds})"
        )

    def worker(self, *args: str) -> Process:
        process = self.project.start("run_worker", *args)
        process.wait_for_line(READY)
        return process

    def names(self, event: str) -> Counter[str]:
        lines = self.trace.read_text().splitlines() if self.trace.exists() else []
        return Counter(line.split()[1] for line in lines if line.startswith(event))


@pytest.fixture
def traced(tmp_path: Path, valkey: Valkey) -> Iterator[Traced]:
    """opsproject with the traced tasks, on a private Valkey."""
    trace = tmp_path / "trace"
    project = Project(tmp_path / "project", settings="tests.live.settings", REDIS_URL=valkey.url, TRACE=str(trace))
    project.manage("migrate", "--no-input", "-v", "0")
    yield Traced(project, trace)
    project.close()


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A private RabbitMQ for this module."""
    server = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    server.start()
    yield server
    server.stop()


@pytest.mark.services
@pytest.mark.parametrize("pool", ["prefork", "threads", "eventlet", "gevent", "solo"])
def test_on_rabbitmq_too(tmp_path: Path, rabbitmq: RabbitMQ, pool: str) -> None:
    trace = tmp_path / "trace"
    project = Project(
        tmp_path / "project", settings="tests.live.settings", CELERY_BROKER_URL=rabbitmq.url, TRACE=str(trace)
    )
    traced = Traced(project, trace)
    with Connection(rabbitmq.url) as connection:
        channel: Any = connection.default_channel
        channel.queue_declare("default", durable=True, auto_delete=False)
        channel.queue_purge("default")
    try:
        project.manage("migrate", "--no-input", "-v", "0")
        traced.send("work", count=4, seconds=4)
        # solo runs its first task before it says that it is ready.
        worker = project.start("run_worker", "--pool", pool, "-c", "2", "--grace", "3")
        wait_for(lambda: traced.names("start"), about="a running task")
        assert worker.terminate(seconds=12) == 0, worker.output
        assert not traced.names("finish"), "the tasks were longer than the grace"
        again = traced.worker("--burst", "--pool", "threads", "-c", "4")
        assert again.wait(seconds=30) == 0, again.output
        assert traced.names("finish") == Counter({f"t{i}": 1 for i in range(4)})
    finally:
        project.close()


POOLS = [("prefork", 20), ("threads", 20), ("eventlet", 20), ("gevent", 20), ("solo", 1)]


def stop_in_mid_work(traced: Traced, pool: str, *, running: int, seconds: float, grace: int) -> None:
    """20 tasks longer than the grace: SIGTERM, restart, and each has finished once."""
    traced.send("work", count=20, seconds=seconds)
    worker = traced.worker("--pool", pool, "-c", "20", "--grace", str(grace))
    wait_for(lambda: len(traced.names("start")) >= running, about=f"{running} running tasks")
    assert worker.terminate(seconds=grace + 5) == 0, worker.output
    assert not traced.names("finish"), "the tasks were longer than the grace"
    again = traced.worker("--pool", "threads", "-c", "20")
    wait_for(lambda: len(traced.names("finish")) == 20, seconds=seconds + 20, about="20 finished tasks")
    assert again.terminate() == 0, again.output
    assert set(traced.names("finish").values()) == {1}, "each task finished once"


@pytest.mark.parametrize(("pool", "running"), POOLS)
def test_tasks_longer_than_the_grace_run_again_after_a_restart(traced: Traced, pool: str, running: int) -> None:
    stop_in_mid_work(traced, pool, running=running, seconds=4, grace=3)


@pytest.mark.soak
@pytest.mark.parametrize(("pool", "running"), POOLS)
def test_with_the_usual_grace_of_30_seconds(traced: Traced, pool: str, running: int) -> None:
    stop_in_mid_work(traced, pool, running=running, seconds=40, grace=30)


@pytest.mark.parametrize("pool", ["prefork", "threads", "eventlet", "gevent", "solo"])
def test_tasks_shorter_than_the_window_finish_and_are_not_sent_again(traced: Traced, pool: str) -> None:
    traced.send("work", count=4, seconds=1)
    worker = traced.worker("--pool", pool, "-c", "4", "--grace", "6")
    wait_for(lambda: traced.names("start"), about="a running task")
    assert worker.terminate(seconds=15) == 0, worker.output
    finished = traced.names("finish")
    assert finished, "what runs shorter than the window finishes"
    again = traced.worker("--burst", "-c", "4")
    assert again.wait(seconds=25) == 0, again.output
    assert traced.names("finish") == Counter({f"t{i}": 1 for i in range(4)})


def test_a_task_that_was_acknowledged_early_is_named_as_lost(traced: Traced) -> None:
    traced.send("early", count=1, seconds=60)
    worker = traced.worker("--pool", "threads", "-c", "2", "--grace", "3")
    wait_for(lambda: traced.names("start"), about="a running task")
    traced.send("work", count=1, seconds=60)
    wait_for(lambda: traced.names("start")["t0"] == 2, about="two running tasks")
    assert worker.terminate(seconds=20) == 0, worker.output
    assert "Shutdown window of 1.5s is over: 1 running task(s) go back to the broker and run again." in worker.output
    lost = r"Task tests\.live\.app\.tasks\.(\w+)\[[0-9a-f-]{36}\] was running, and had been acknowledged early: "
    assert re.findall(lost + r"it is lost\. Set acks_late=True on it\.", worker.output) == ["early"]


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_a_worker_that_hangs_on_its_way_out_is_ended(tmp_path: Path, valkey: Valkey, pool: str) -> None:
    project = Project(tmp_path / "project", settings="tests.live.projects.hangs", REDIS_URL=valkey.url)
    try:
        worker = project.start("run_worker", "--pool", pool, "--grace", "60")
        worker.wait_for_line(READY, seconds=60)
        # It would hang for ever; without running tasks it is ended after 4 s, long before the window of 55 s closes.
        assert worker.terminate(seconds=40) == 0, worker.output
    finally:
        project.close()
