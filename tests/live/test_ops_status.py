"""ops_status: a running stack on one screen, and what it says when parts are silent."""

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.processes import ROOT, Project, wait_for

FAIL = """
from django_celery_results.models import TaskResult
from maintenance.tasks import backup
import json
TaskResult.objects.create(task_id="x", task_name="shop.pay", status="FAILURE",
    result=json.dumps({"exc_type": "ValueError", "exc_message": ["no such order"], "exc_module": "builtins"}))
"""


def shown(project: Project) -> dict[str, list[str]]:
    """Return the screen's lines by part."""
    found: dict[str, list[str]] = {}
    title = ""
    for line in project.manage("ops_status", check=False).stdout.splitlines():
        title = line[:9].strip() or title
        found.setdefault(title, []).append(line[9:].strip())
    return found


def test_a_running_stack_on_one_screen(project: Project) -> None:
    project.manage("sync_schedules")
    project.manage("backup")
    project.python(FAIL)
    args = ["-A", "opsproject", "worker", "-P", "threads", "-c", "3", "-l", "INFO", "-Q", "default", "-n", "one@test"]
    project.spawn([sys.executable, "-m", "celery", *args]).wait_for_line("one@test ready", seconds=120)
    project.start("run_beat").wait_for_line("Leading as", seconds=120)
    project.start("run_beat").wait_for_line("Standing by", seconds=120)
    found = shown(project)
    assert list(found) == ["Workers", "Queues", "Beat", "Schedules", "Failures", "Backups", "Results"], found
    assert re.fullmatch(r"one@test  threads × 3  \d active  \d+ done  up \S+", found["Workers"][0]), found
    assert found["Queues"][0] == "default  0 waiting  1 worker"
    assert re.fullmatch(r"heavy_tasks  \d+ waiting.*  0 workers", found["Queues"][1])
    host = re.escape(socket.gethostname())
    assert re.fullmatch(rf"{host}:\d+ leads for \S+", found["Beat"][0])
    assert found["Beat"][1:] == [f"celerybeat@{socket.gethostname()} stands by"]
    assert len(found["Schedules"]) == 5
    assert all(re.fullmatch(r"\S+  (in \d+\S*|now)", line) for line in found["Schedules"]), found
    assert re.fullmatch(r"shop\.pay  \S+ ago  ValueError: no such order", found["Failures"][0])
    assert re.fullmatch(r"default in backups  \S+ ago, [\d.]+ kB  never verified", found["Backups"][0], re.IGNORECASE)
    assert re.fullmatch(r"[\d.]+ [KM]B \(the whole database\), the newest \S+ ago", found["Results"][0])

    done = project.manage("ops_status", "--json")
    document = json.loads(done.stdout)
    parts = ["workers", "queues", "beat", "schedules", "failures", "backups", "results"]
    assert list(document) == ["schema_version", "at", *parts]
    assert all(document[part]["asked"] and not document[part]["trouble"] for part in parts)
    assert [row["leads"] for row in document["beat"]["rows"]] == [True, False]


@pytest.mark.parametrize("kind", ["down", "mute"])
def test_what_is_silent_is_said_and_the_rest_is_shown(project: Project, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1] if kind == "mute" else 1
        done = project.manage("ops_status", "--json", check=False, REDIS_URL=f"redis://:s3cret@127.0.0.1:{port}/0")
    document = json.loads(done.stdout)
    asked = {part: found["asked"] for part, found in document.items() if isinstance(found, dict)}
    assert (asked["workers"], asked["queues"]) == (False, False)
    assert all(asked[part] for part in ("schedules", "failures", "backups", "results"))
    assert "127.0.0.1" in document["workers"]["trouble"] or "No answer" in document["workers"]["trouble"]
    assert (done.returncode, done.stderr) == (1, "")
    assert "s3cret" not in done.stdout


def test_watch_fills_a_terminal_in_place_and_gives_it_back(project: Project) -> None:
    ours, its = pty.openpty()
    # rich asks the terminal, and believes TERM.
    env = {**project.env, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    args = [sys.executable, "manage.py", "ops_status", "--watch=1s"]
    watching = subprocess.Popen(args, cwd=ROOT, env=env, stdin=its, stdout=its, stderr=its, start_new_session=True)
    try:
        os.close(its)
        seen = read(ours, until=lambda text: text.count("Ctrl-C ends") >= 2)
        watching.send_signal(signal.SIGINT)
        seen += read(ours, until=lambda text: "\x1b[?1049l" in text)
        assert watching.wait(30) == 0, seen
    finally:
        watching.kill()
        watching.wait(30)
        os.close(ours)
    # The alternate screen, entered once and left; drawn again from its home, not below itself.
    assert (seen.count("\x1b[?1049h"), seen.count("\x1b[?1049l"), seen.count("\x1b[H") >= 2) == (1, 1, True), seen
    assert "Traceback" not in seen


def read(terminal: int, *, until: Callable[[str], bool], seconds: float = 90) -> str:
    """Return what a terminal shows until it is enough, or its program ended."""
    seen, end = b"", time.monotonic() + seconds
    while not until(seen.decode(errors="replace")):
        ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
        assert ready, f"not within {seconds:g}s: {seen!r}"
        try:
            seen += os.read(terminal, 65536)
        except OSError:  # Linux: nobody has the other end
            break
    return seen.decode(errors="replace")


def test_watch_refreshes_and_ends_cleanly_at_ctrl_c(project: Project) -> None:
    watching = project.start("ops_status", "--watch=1s")
    watching.wait_for_line(r"every 1s; Ctrl-C ends", seconds=90)
    wait_for(lambda: watching.output.count("Ctrl-C ends") >= 2 or watching.popen.poll() is not None, seconds=60)
    watching.send(signal.SIGINT)
    assert watching.wait() == 0, watching.output
    assert "Traceback" not in watching.output
