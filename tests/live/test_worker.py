"""run_worker with real workers: bursts, reloads, patched pools, database connections."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT, Process, Project, wait_for
from tests.servers import Valkey


@pytest.fixture
def project(tmp_path: Path, valkey: Valkey) -> Iterator[Project]:
    """opsproject with the traced tasks, on a private Valkey."""
    ops = Project(
        tmp_path / "project", settings="tests.live.settings", REDIS_URL=valkey.url, TRACE=str(tmp_path / "trace")
    )
    ops.manage("migrate", "--no-input", "-v", "0")
    yield ops
    ops.close()


def finished(project: Project) -> list[str]:
    trace = Path(project.env["TRACE"])
    lines = trace.read_text().splitlines() if trace.exists() else []
    return sorted(line.split()[1] for line in lines if line.startswith("finish"))


SEND = "from tests.live.app.tasks import work\n"


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_burst_ends_when_nothing_is_left(project: Project, pool: str) -> None:
    project.python(
        SEND + "for i in range(6): work.delay(f't{i}', 0.2)\n"
        "work.apply_async(('soon', 0.1), countdown=2)\n"
        "work.apply_async(('late', 0.1), countdown=3600)"
    )
    worker = project.start("run_worker", "--burst", "--max-wait", "10s", "-P", pool, "-c", "2")
    assert worker.wait(seconds=40) == 0, worker.output
    assert finished(project) == ["soon", "t0", "t1", "t2", "t3", "t4", "t5"]
    # The task due in an hour stays, and goes back to its queue when the worker leaves.
    assert (
        project.python(
            "from opsproject.celery import app\n"
            "with app.connection() as c: print(c.default_channel.client.llen('default'))"
        )
        == "1\n"
    )


def test_a_burst_waits_for_what_another_worker_holds(project: Project) -> None:
    project.python(SEND + "work.delay('long', 4)")
    holder = project.start("run_worker", "-P", "threads", "-c", "1", "-n", "holder@%h")
    holder.wait_for_line(r"ready\.")
    assert "mingle" not in holder.output, "alone on its broker, it has nobody to ask for revokes"
    trace = Path(project.env["TRACE"])
    wait_for(lambda: trace.exists() and "start long" in trace.read_text(), about="the long task to start")
    burst = project.start("run_worker", "--burst", "-P", "threads", "-n", "burst@%h")
    assert burst.wait(seconds=30) == 0, burst.output
    assert "mingle: sync with 1 nodes" in burst.output
    assert finished(project) == ["long"], "the burst ended only after the other worker was done"
    holder.terminate()


def test_reload_restarts_its_own_child_only(project: Project, tmp_path: Path) -> None:
    other = project.start("run_worker", "-P", "solo", "-n", "other@%h")
    other.wait_for_line(r"ready\.")
    # Watch a folder of our own: the tree of the tests is not to be touched.
    watched = tmp_path / "watched"
    watched.mkdir()
    (watched / "code.py").write_text("VALUE = 1\n")
    args = [sys.executable, str(ROOT / "manage.py"), "run_worker", "--reload", "-P", "solo", "-n", "me@%h"]
    worker = Process(args, env=project.env, log=tmp_path / "reloading.log", cwd=watched)
    project.processes.append(worker)
    worker.wait_for_line(r"me@\S+ ready\.")
    (watched / "code.py").write_text("VALUE = 2\n")
    (watched / "notes.txt").write_text("not Python\n")
    worker.wait_for_line(r"Restarting the worker: code\.py changed\.")
    wait_for(lambda: worker.output.count("ready.") == 2, about="a second start")
    assert other.popen.poll() is None
    assert worker.terminate() == 0, worker.output
    assert worker.output.count("Restarting") == 1


@pytest.mark.parametrize("pool", ["eventlet", "gevent"])
def test_a_green_pool_without_its_patch_is_refused(project: Project, pool: str) -> None:
    # CELERY_CUSTOM_WORKER_POOL selects the pool without naming it in argv, so that Celery patches nothing.
    worker = project.spawn(
        [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "opsproject",
            "worker",
            "-P",
            "custom",
            "-I",
            "maintenance.worker.runtime",
        ],
        CELERY_CUSTOM_WORKER_POOL=f"celery.concurrency.{pool}:TaskPool",
    )
    assert worker.wait(seconds=30) == 2, worker.output
    assert f"The pool {pool} was not monkey-patched before Celery was imported" in worker.output


@pytest.mark.parametrize("pool", ["threads", "eventlet", "gevent", "solo"])
def test_database_connections_are_given_back_after_each_task(project: Project, pool: str) -> None:
    worker = project.start("run_worker", "-P", pool, "-c", "8")
    worker.wait_for_line(r"ready\.")
    counts = project.python(
        "from tests.live.app.tasks import open_databases, use_database\n"
        "from celery import group\n"
        "group(use_database.s() for _ in range(24)).apply_async().get(timeout=20)\n"
        "print(open_databases.delay(str(__import__('django').conf.settings.DATABASES['default']['NAME'])).get(timeout=20))"
    )
    assert int(counts) <= 1, "at most the connection of the task that counts"
    worker.terminate()


def test_a_worker_says_its_plan_before_it_starts(project: Project) -> None:
    worker = project.start("run_worker", "--profile", "heavy", "--grace", "4")
    worker.wait_for_line(r"heavy@\S+ ready\.")
    lines = worker.output.splitlines()
    assert lines[:4] == [
        'app          opsproject  (MAINTENANCE["WORKER"]["APP"])',
        "pool         prefork  (Linux: processes use every CPU and honour every limit)",
        "concurrency  1  (asked for by the profile)",
        "queues       heavy_tasks  (asked for by the profile)",
    ]
    status = Path(f"/proc/{worker.pid}/cmdline").read_bytes().split(b"\0")
    assert b"celery" in status, "the worker has taken manage.py's place: signals reach it directly"
    assert worker.terminate() == 0
    assert os.environ.get("SECRET_KEY", "development-only") not in worker.output


def test_a_worker_starts_from_any_folder_without_a_pythonpath(project: Project, tmp_path: Path) -> None:
    project.python(SEND + "work.delay('there', 0)")
    env = {name: value for name, value in project.env.items() if name != "PYTHONPATH"}
    args = [sys.executable, str(ROOT / "manage.py"), "run_worker", "--burst", "-P", "solo"]
    worker = Process(args, env=env, log=tmp_path / "elsewhere.log", cwd=tmp_path)
    project.processes.append(worker)
    assert worker.wait(seconds=60) == 0, worker.output
    assert finished(project) == ["there"]
