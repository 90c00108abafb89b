"""The probe of real workers and beats: frozen, busy, cut off from their broker."""

import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.processes import Process, Project, wait_for
from tests.relay import Relay
from tests.servers import Valkey

SEND = "from tests.live.app.tasks import work\nfor _ in range({count}): work.delay('one', {seconds})"


def soaked(*pools: str) -> list[Any]:
    """Return what only make soak runs."""
    return [pytest.param(pool, marks=pytest.mark.soak) for pool in pools]


def probe(project: Project, *argv: str) -> int:
    environ = {**project.env, "MAINTENANCE_RUN_DIR": str(project.var / "run")}
    return subprocess.run([sys.executable, "-m", "maintenance.probe", *argv], env=environ).returncode


def started(project: Project, *args: str, **env: str) -> Process:
    folder = str(project.var / "run")
    env |= {"MAINTENANCE_RUN_DIR": folder, "TRACE": str(project.folder / "trace")}
    worker = project.start(*args, DJANGO_SETTINGS_MODULE="tests.live.settings", **env)
    if args[0] == "run_worker":
        worker.wait_for_line(r"ready\.$", seconds=90)
        wait_for(lambda: probe(project, "worker", "--ready") == 0)
    return worker


@pytest.mark.parametrize("pool", ["prefork", "eventlet", *soaked("threads", "solo", "gevent")])
def test_a_frozen_worker_is_stuck_and_one_that_left_has_no_heartbeat(project: Project, pool: str) -> None:
    worker = started(project, "run_worker", "--pool", pool, "-c", "1", "-n", "one@test")
    os.kill(worker.pid, signal.SIGSTOP)
    time.sleep(3)
    assert probe(project, "worker", "--max-age", "2") == 1
    os.kill(worker.pid, signal.SIGCONT)
    wait_for(lambda: probe(project, "worker", "--max-age", "8", "--ready", "--name=one") == 0)
    worker.terminate()
    assert probe(project, "worker") == 2


@pytest.mark.parametrize(("pool", "seconds"), [("solo", 14), pytest.param("solo", 90, marks=pytest.mark.soak)])
def test_a_busy_solo_worker_is_alive(project: Project, pool: str, seconds: int) -> None:
    worker = started(project, "run_worker", "--pool", pool, "-n", "one@test")
    project.python(SEND.format(count=1, seconds=seconds))
    worker.wait_for_line(r"work\[.*received", seconds=60)
    file = project.var / "run" / "worker-one@test"
    silent = wait_for(lambda: time.time() - file.stat().st_mtime > min(10, seconds - 4), seconds=seconds + 30)
    assert silent
    assert probe(project, "worker", "--max-age", "5", "--ready") == 0
    worker.wait_for_line(r"work\[.*succeeded", seconds=seconds + 60)
    wait_for(lambda: probe(project, "worker", "--max-age", "8") == 0)


def test_a_full_green_pool_is_alive(project: Project) -> None:
    worker = started(project, "run_worker", "--pool", "eventlet", "-c", "1", "-n", "one@test")
    project.python(SEND.format(count=3, seconds=12))
    worker.wait_for_line(r"work\[.*received", seconds=60)
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        assert probe(project, "worker", "--max-age", "9") == 0
        time.sleep(1)


@pytest.mark.parametrize("pool", ["prefork", *soaked("solo", "eventlet")])
def test_without_its_broker_a_worker_is_alive_and_not_ready(project: Project, valkey: Valkey, pool: str) -> None:
    started(project, "run_worker", "--pool", pool, "-c", "1", "-n", "one@test")
    valkey.stop()
    wait_for(lambda: probe(project, "worker", "--ready") == 1, seconds=60)
    deadline = time.monotonic() + 12
    while time.monotonic() < deadline:
        assert probe(project, "worker", "--max-age", "9") == 0
        time.sleep(1)
    valkey.start()
    wait_for(lambda: probe(project, "worker", "--ready", "--max-age", "8") == 0, seconds=90)


def test_a_beat_whose_tick_is_blocked_is_stuck(project: Project) -> None:
    args = ["-A", "opsproject", "beat", "-S", "tests.live.projects.stuck:Stuck"]
    project.spawn([sys.executable, "-m", "celery", *args], MAINTENANCE_RUN_DIR=str(project.var / "run"))
    wait_for(lambda: probe(project, "beat") == 0, seconds=60)
    wait_for(lambda: probe(project, "beat", "--max-age", "3") == 1, seconds=60)


def test_a_beat_without_its_broker_is_alive_and_not_ready(project: Project, valkey: Valkey) -> None:
    relay = Relay(int(valkey.url.rpartition(":")[2].partition("/")[0]))
    beat = started(project, "run_beat", REDIS_URL=valkey.url.replace(str(relay.target), str(relay.port)))
    wait_for(lambda: probe(project, "beat", "--ready") == 0, seconds=90)
    relay.close()
    project.python(
        "from django_celery_beat.models import IntervalSchedule, PeriodicTask\n"
        "every, _ = IntervalSchedule.objects.get_or_create(every=1, period='seconds')\n"
        "PeriodicTask.objects.create(name='each second', task='opsproject.celery.debug_task', interval=every)"
    )
    wait_for(lambda: probe(project, "beat", "--ready") == 1, seconds=90)
    assert probe(project, "beat", "--max-age", "10") == 0
    assert beat.terminate() == 0
    assert probe(project, "beat") == 2
