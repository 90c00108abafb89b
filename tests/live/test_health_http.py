"""/healthz/ and /metrics under gunicorn: with everything well, and with services that accept TCP and never answer."""

import json
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Process, Project, wait_for
from tests.servers import free_port

TOKEN = "a-token-for-tests-only"
CONFIGURED = f"""
from opsproject.settings import *
MAINTENANCE = {{**MAINTENANCE, "HEALTH": {{"TOKEN": "{TOKEN}"}}}}
"""
SESSION = """
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.create_user("ann", is_staff=True))
print(client.cookies["sessionid"].value)
"""


@pytest.fixture
def mute() -> Iterator[int]:
    """A port that accepts TCP and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(256)
        yield server.getsockname()[1]


class Web:
    """gunicorn with opsproject, and a client of it."""

    def __init__(self, project: Project, **env: str) -> None:
        self.port = free_port()
        settings = project.folder / "health_settings.py"
        settings.write_text(CONFIGURED)
        args = ["-m", "gunicorn", "opsproject.wsgi", "--bind", f"127.0.0.1:{self.port}", "--threads", "4"]
        env |= {
            "DJANGO_SETTINGS_MODULE": "health_settings",
            "PYTHONPATH": f"{project.folder}:{project.env['PYTHONPATH']}",
        }
        self.process: Process = project.spawn([sys.executable, *args], **env)
        self.process.wait_for_line("Booting worker")
        wait_for(lambda: self.get("/healthz/live")[0] == 200)

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - http, as written above
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def threads(self) -> int:
        """Return how many threads gunicorn's workers have."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return sum(len(list(Path(f"/proc/{child}/task").iterdir())) for child in children)


def bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}"}


def test_a_stack_that_is_well(project: Project) -> None:
    worker = project.start("run_worker", "--pool", "threads", "-c", "1", "-n", "one@test")
    project.manage("sync_schedules")
    beat = project.start("run_beat")
    worker.wait_for_line("one@test ready", seconds=60)
    beat.wait_for_line("Leading as", seconds=60)
    project.manage("backup")
    project.python("from maintenance.tasks import clear_sessions; clear_sessions.delay().get(timeout=60)")
    web = Web(project)
    # A new process on a busy machine may take longer than the deadline to import every migration.
    wait_for(lambda: web.get("/healthz/ready") == (200, "ok\n"), every=0.5)
    wait_for(lambda: web.get("/healthz/")[0] == 200, seconds=60, every=1, about=web.get("/healthz/", **bearer())[1])
    code, text = web.get("/healthz/?format=json", **bearer())
    found = json.loads(text)
    assert code == 200, text
    assert set(found) == {
        *("broker", "database", "migrations", "cache", "workers", "queues", "queue.age", "redis.policy"),
        *("redis.visibility", "redis.shared", "beat", "schedules.late", "schedules.drift", "results.backlog"),
        *("results.failures", "schedules.failed", "backups", "disk", "clock"),
    }
    code, metrics = web.get("/metrics", **bearer())
    assert code == 200
    for family in (
        *("queue_messages", "queue_oldest_seconds", "beat_tick_age_seconds", "beat_leader", "schedules_late"),
        *("task_runs_last_hour", "backup_age_seconds", "backup_size_bytes", "check_state"),
    ):
        assert f"\nmaintenance_{family}{{" in metrics or f"\nmaintenance_{family} " in metrics, family
    assert metrics.endswith("# EOF\n")


def test_everything_hangs_and_it_answers_within_a_second(project: Project, mute: int) -> None:
    session = project.python(SESSION).strip()
    web = Web(
        project,
        DATABASE_URL=f"postgres://ann:s3cret@127.0.0.1:{mute}/db",
        REDIS_URL=f"redis://:s3cret@127.0.0.1:{mute}/0",
    )
    took: dict[str, list[float]] = {}
    for _ in range(6):
        for path in ("/healthz/", "/healthz/ready", "/metrics"):
            for headers in ({}, bearer(), {"Cookie": f"sessionid={session}"}):
                started = time.monotonic()
                code, text = web.get(path, **headers)
                took.setdefault(path, []).append(time.monotonic() - started)
                shown = path == "/metrics"
                assert code == (200 if shown and headers == bearer() else 401 if shown else 500), text
                assert "s3cret" not in text
    assert all(min(times) < 1 for times in took.values()), took
    assert all(max(times) < 20 for times in took.values()), "that is a hang, not a busy machine"
    found = json.loads(web.get("/healthz/?format=json", **bearer())[1])
    assert found["database"].startswith("Unavailable: ")
    assert found["migrations"] == "Could Not Ask: Could not ask: first mend database."
    assert web.get("/healthz/live") == (200, "ok\n")
    # 4 of gunicorn and its main one, and one a check that hangs: no more with each request.
    assert web.threads() <= 5 + 4
    assert web.process.terminate(seconds=60) == 0
