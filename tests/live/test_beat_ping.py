"""Beat's remote control: whoever runs answers a ping by its node name, whether it leads or stands by."""

import json
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Process, Project
from tests.servers import Valkey

HERE = f"celerybeat@{socket.gethostname()}"
SILENT = 69


@pytest.fixture
def project(tmp_path: Path, valkey: Valkey) -> Iterator[Project]:
    """A project whose own settings leave beat's remote control off."""
    made = Project(
        tmp_path / "project", settings="tests.live.projects.beats", REDIS_URL=valkey.url, MARKS=str(tmp_path)
    )
    made.manage("migrate", "--no-input", "-v", "0")
    yield made
    made.close()


def pinged(project: Project, name: str, *, seconds: float = 30) -> tuple[object, int]:
    """Return what `celery inspect ping` hears of ``name`` within some seconds, and its exit code."""
    args = ["-A", "opsproject", "inspect", "ping", "--json", "-d", name, "-t", str(seconds)]
    inspect = project.spawn([sys.executable, "-m", "celery", *args])
    code = inspect.wait(seconds=seconds + 60)
    return json.loads(inspect.output) if code == 0 else None, code


def beat(project: Project, state: str, *args: str) -> Process:
    """Start a beat that is in a ``state`` and hears what is asked."""
    process = project.start("run_beat", *args)
    process.wait_for_line("beat pidbox: Connected", seconds=60)
    process.wait_for_line(state, seconds=60)
    return process


def test_the_leader_and_the_one_that_stands_by_answer_by_their_names(project: Project) -> None:
    first = beat(project, "Leading as")
    second = beat(project, "Standing by", "--", "-n", "celerybeat@second")
    assert pinged(project, HERE) == ({HERE: {"ok": "pong"}}, 0)
    assert pinged(project, "celerybeat@second") == ({"celerybeat@second": {"ok": "pong"}}, 0)

    first.send(signal.SIGTERM)
    assert first.wait() == 0
    assert pinged(project, HERE, seconds=3) == (None, SILENT)
    second.wait_for_line("Leading as", seconds=60)
    assert pinged(project, "celerybeat@second") == ({"celerybeat@second": {"ok": "pong"}}, 0)
    assert second.terminate() == 0
