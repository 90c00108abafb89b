"""doctor: the whole stack, well and ill."""

import json
import re
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Project, wait_for
from tests.servers import Postgres, Valkey

PENDING = """
from opsproject.celery import app
from django_celery_results.models import TaskResult
with app.connection_for_read() as connection:
    print(connection.default_channel.client.llen("default"), TaskResult.objects.count())
"""


@pytest.fixture
def mute() -> Iterator[int]:
    """A port that accepts TCP and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield server.getsockname()[1]


def states(project: Project, *args: str) -> tuple[dict[str, str], int, dict[str, Any]]:
    done = project.manage("doctor", "--json", *args, check=False)
    document = json.loads(done.stdout)
    return {check["title"]: check["state"] for check in document["checks"]}, done.returncode, document


def test_a_running_stack_is_well_and_doctor_leaves_nothing_behind(project: Project) -> None:
    args = ["-A", "opsproject", "worker", "-P", "threads", "-c", "1", "-l", "INFO", "-n", "one@test"]
    worker = project.spawn([sys.executable, "-m", "celery", *args])
    worker.wait_for_line("one@test ready")
    found, code, document = states(project, "--wait=20s")
    ill = {title: state for title, state in found.items() if state != "ok"}
    assert (ill, code, document["healthy"]) == ({"schedules as declared": "warning"}, 0, True), document
    messages = {check["title"]: check["message"] for check in document["checks"]}
    assert messages["workers"] == "one@test answers."
    assert messages["round trip"].startswith("opsproject.celery.debug_task was done in ")
    assert project.python(PENDING) == "0 0\n"


def test_without_a_worker_it_fails_and_its_task_is_never_done_later(project: Project) -> None:
    found, code, _ = states(project, "--wait=0.5s")
    assert (found["broker"], found["workers"], found["round trip"], code) == ("ok", "failed", "failed", 1)
    args = ["-A", "opsproject", "worker", "-P", "threads", "-c", "1", "-l", "INFO", "-Q", "default", "-n", "one@test"]
    worker = project.spawn([sys.executable, "-m", "celery", *args])
    worker.wait_for_line(r"Discarding revoked task: opsproject\.celery\.debug_task")
    assert wait_for(lambda: project.python(PENDING).startswith("0 "), every=0.5)


@pytest.mark.parametrize("kind", ["refusing", "mute"])
def test_it_ends_within_seconds_with_everything_down(project: Project, mute: int, kind: str) -> None:
    port = mute if kind == "mute" else 1
    url = f"redis://:s3cret@127.0.0.1:{port}/0"
    database = f"postgres://ann:s3cret@127.0.0.1:{port}/db"
    started = time.monotonic()
    done = project.manage("doctor", check=False, REDIS_URL=url, DATABASE_URL=database)
    took = time.monotonic() - started
    lines = done.stdout.splitlines()
    assert [line[:13].rstrip() for line in lines[:6]] == [
        "FAILED", "FAILED", "COULD NOT ASK", "FAILED", "COULD NOT ASK", "COULD NOT ASK",
    ]  # fmt: skip
    assert (done.returncode, done.stderr, "Traceback" in done.stdout) == (1, "", False)
    said = "No answer within 3s." if kind == "mute" else f"redis://:**@127.0.0.1:{port}/0 does not answer"
    assert said in lines[0]
    assert "s3cret" not in done.stdout
    assert took < 60, f"{took:.1f}s: that is a hang, not a busy machine"


LOST = """
from django_celery_beat.models import IntervalSchedule, PeriodicTask
every, _ = IntervalSchedule.objects.get_or_create(every=1, period="days")
PeriodicTask.objects.create(name="lost", task="shop.gone", interval=every)
"""


@pytest.mark.services
def test_limits_programs_and_lost_tasks_are_asked_of_who_knows(
    tmp_path: Path, valkey: Valkey, postgres: Postgres
) -> None:
    ops = Project(tmp_path / "postgres", REDIS_URL=valkey.url, DATABASE_URL=postgres.url)
    try:
        ops.manage("migrate", "--no-input", "-v", "0")
        ops.manage("sync_schedules")
        args = ["-A", "opsproject", "worker", "-P", "threads", "-l", "INFO", "-n", "one@test"]
        worker = ops.spawn([sys.executable, "-m", "celery", *args, "-c", "2"])
        worker.wait_for_line("one@test ready", seconds=90)
        found, _, document = states(ops, "--wait=20s", "--tag", "database", "schedules", "backups", "worker")
        told = {check["title"]: check["message"] for check in document["checks"]}
        asked = [found[title] for title in ("connections", "scheduled tasks", "backup programs")]
        assert asked == ["ok"] * 3, document
        assert re.fullmatch(r"It takes \d+, of which workers may open 2\.", told["connections"])
        worker.terminate()
        worker = ops.spawn([sys.executable, "-m", "celery", *args, "-c", "500"])
        worker.wait_for_line("one@test ready", seconds=90)
        ops.python(LOST)
        found, code, document = states(ops, "--wait=20s", "--tag", "database", "schedules", "worker")
        told = {check["title"]: check["message"] for check in document["checks"]}
        assert (found["connections"], found["scheduled tasks"], code) == ("failed", "failed", 1), document
        assert re.fullmatch(r"1 worker runs 500 tasks at once, and it takes \d+\.", told["connections"])
        assert told["scheduled tasks"] == "The schedule 'lost' sends 'shop.gone', which no worker knows."
    finally:
        ops.close()
