"""make up: real work soon after the start, nothing left behind after Ctrl-C, and nothing lost by it."""

import json
import re
import signal
import stat
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Process, Project, wait_for
from tests.servers import Valkey, free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc")


class Up:
    """A project run by `make up`, in a var folder of its own. All of its processes bear that folder's name."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.trace = folder / "trace"
        self.port = free_port()
        self.browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        self.project = Project(folder, TRACE=str(self.trace), PORT=str(self.port), **env)

    def start(self, **env: str) -> Process:
        """Start everything; return when the admin's sign-in page is there."""
        honcho = self.project.spawn([sys.executable, "-m", "opsproject.up"], DEBUG="", **env)
        honcho.wait_for_line("The admin is at")
        honcho.wait_for_line(r"worker\.1 .*ready\.", seconds=45)
        wait_for(lambda: self.get("/admin/login/") is not None, seconds=20, every=0.3, about="the sign-in page")
        return honcho

    def interrupt(self, honcho: Process) -> float:
        """Press Ctrl-C; return the seconds until every process was gone."""
        began = time.monotonic()
        honcho.send(signal.SIGINT)
        honcho.wait(seconds=15)
        wait_for(lambda: not self.project.pids(), seconds=5, about="no process left")
        return time.monotonic() - began

    def get(self, path: str, form: dict[str, str] | None = None) -> str | None:
        """Return a page, or None while there is no such server."""
        data = urllib.parse.urlencode(form).encode() if form else None
        try:
            with self.browser.open(f"http://127.0.0.1:{self.port}{path}", data, timeout=5) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, ConnectionError):
            return None

    def sign_in(self) -> None:
        """Sign in to the admin the way that the output says."""
        page = self.get("/admin/login/") or ""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert token is not None
        password = (self.project.var / "dev-superuser").read_text().strip()
        form = {"username": "admin", "password": password, "csrfmiddlewaretoken": token[1], "next": "/admin/"}
        assert "Site administration" in (self.get("/admin/login/", form) or "")

    def finished(self) -> Counter[str]:
        """Return how often each traced task finished."""
        lines = self.trace.read_text().splitlines() if self.trace.exists() else []
        return Counter(line.split()[1] for line in lines if line.startswith("finish"))

    def started(self) -> int:
        return self.trace.read_text().count("start ") if self.trace.exists() else 0


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    one = Up(tmp_path / "project", DJANGO_SETTINGS_MODULE="tests.live.settings")
    yield one
    one.project.close()


def test_a_failure_before_the_start_is_one_line(up: Up) -> None:
    up.project.var.mkdir(parents=True)
    (up.project.var / "db.sqlite3").write_bytes(b"not a database" * 100)
    honcho = up.project.spawn([sys.executable, "-m", "opsproject.up"], DEBUG="")
    assert honcho.wait() == 1
    assert honcho.output == "make up: migrate failed: file is not a database\n"


@pytest.mark.parametrize(
    ("running", "total"), [(8, 16), pytest.param(20, 100, marks=pytest.mark.soak)], ids=["short", "full"]
)
def test_ctrl_c_during_work_stops_everything_and_loses_nothing(up: Up, running: int, total: int) -> None:
    honcho = up.start(CELERY_WORKER_CONCURRENCY=str(running))
    password = up.project.var / "dev-superuser"
    assert f"The admin is at http://127.0.0.1:{up.port}/admin/" in honcho.output
    assert f"A superuser was created. Sign in as 'admin' with the password in '{password}'." in honcho.output
    assert stat.S_IMODE(password.stat().st_mode) == 0o600

    up.project.python(f"from tests.live.app import tasks\nfor i in range({total}): tasks.work.delay(f't{{i}}', 3)")
    wait_for(lambda: up.started() >= running, seconds=20, about=f"{running} running tasks")
    assert up.interrupt(honcho) < 10
    left = total - len(up.finished())
    assert left >= total - running

    began = time.monotonic()
    again = up.start(CELERY_WORKER_CONCURRENCY=str(running))
    assert f"\nSign in as 'admin' with the password in '{password}'." in again.output
    wait_for(lambda: len(up.finished()) == total, seconds=60 - (time.monotonic() - began), about="every task finished")
    assert up.interrupt(again) < 10


def test_with_a_redis_of_ones_own_a_task_started_in_the_browser_is_seen_in_the_admin(up: Up, valkey: Valkey) -> None:
    honcho = up.start(REDIS_URL=valkey.url)
    honcho.wait_for_line(r"broker\.1 .*there is nothing to start\.")
    task = json.loads(up.get("/test/") or "{}")["id"]
    wait_for(lambda: '"SUCCESS"' in (up.get(f"/tasks/{task}/") or ""), seconds=15, every=0.3, about="2 + 3")
    up.sign_in()
    assert task in (up.get("/admin/django_celery_results/taskresult/") or "")
    honcho.send(signal.SIGTERM)
    honcho.wait(seconds=10)
    wait_for(lambda: not up.project.pids(), seconds=2, about="no process left")


@pytest.mark.soak
def test_the_schedule_backs_up_and_clears_the_cache_within_two_minutes(up: Up) -> None:
    honcho = up.start()
    names = ("opsproject.examples.tasks.add", "maintenance.backup", "maintenance.clear_cache")
    done = "from django_celery_results.models import TaskResult\n"
    done += "print(*TaskResult.objects.filter(status='SUCCESS').values_list('task_name', flat=True))"
    wait_for(lambda: set(names) <= set(up.project.python(done).split()), seconds=110, every=5, about=f"{names} done")
    (manifest, *_) = sorted((up.project.var / "backups").glob("*.manifest.json"))
    assert json.loads(manifest.read_bytes())["tables"]["auth_user"] == 1
    up.sign_in()
    page = up.get("/admin/django_celery_results/taskresult/") or ""
    assert [name for name in names if name not in page] == []
    assert up.interrupt(honcho) < 10
