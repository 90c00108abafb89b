"""Every line of the Procfiles is a real command: it starts with a host's variables and ends at SIGTERM."""

import http.client
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT, Process, Project
from tests.servers import Valkey, free_port

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a Procfile's lines are for a POSIX shell")

READY = {
    "web": r"Listening at: http://0\.0\.0\.0:\d+",
    "worker": r"default@\S+ ready\.",
    "heavy": r"heavy@\S+ ready\.",
    "beat": r"beat: Starting\.\.\.",
}


def lines(name: str) -> dict[str, str]:
    """Return a Procfile's process types with their commands."""
    pairs = [line.partition(": ") for line in (ROOT / name).read_text().splitlines()]
    return {name: command for name, _, command in pairs}


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[Project]:
    """opsproject with a host's variables: no DEBUG, a private Valkey, python and gunicorn on PATH."""
    valkey = Valkey(tmp_path / "valkey")
    valkey.start()
    project = Project(
        tmp_path / "project",
        DEBUG="",
        SECRET_KEY="a" * 10 + "production-like-secret-key-of-fifty-characters-0123456789",
        ALLOWED_HOSTS="ops.example.com",
        REDIS_URL=valkey.url,
        PORT=str(free_port()),
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    )
    yield project
    project.close()
    valkey.stop()


def start(project: Project, command: str) -> Process:
    return project.spawn(["sh", "-c", command if "&&" in command else f"exec {command}"])


def test_the_process_types_are_those_of_the_documents() -> None:
    assert list(lines("Procfile")) == ["release", *READY]
    # honcho gives its first process $PORT, and every other one 100 more.
    assert list(lines("Procfile.dev")) == ["web", "broker", "worker", "beat"]


def test_every_process_of_a_host_starts_and_ends_at_sigterm(hosted: Project) -> None:
    procfile = lines("Procfile")
    release = start(hosted, procfile.pop("release"))
    assert release.wait(seconds=60) == 0, release.output
    assert "Applying maintenance.0001_initial... OK" in release.output
    assert "+ maintenance.backup: " in release.output

    running = {name: start(hosted, command) for name, command in procfile.items()}
    for name, process in running.items():
        process.wait_for_line(READY[name], seconds=60)

    web = http.client.HTTPConnection("127.0.0.1", int(hosted.env["PORT"]), timeout=20)
    web.request("GET", "/admin/login/", headers={"Host": "ops.example.com", "X-Forwarded-Proto": "https"})
    assert web.getresponse().status == 200
    web.close()

    for process in running.values():
        process.send(signal.SIGTERM)
    assert {name: process.wait(seconds=20) for name, process in running.items()} == dict.fromkeys(READY, 0)
