"""run_beat: what the tables hold is sent, done and recorded; SIGTERM ends it cleanly."""

import json
import sys

import pytest

from tests.processes import Process, Project, wait_for

EVERY_SECOND = """
from django_celery_beat.models import IntervalSchedule, PeriodicTask
second = IntervalSchedule.objects.create(every=1, period="seconds")
PeriodicTask.objects.create(name="each second", task="opsproject.celery.debug_task", interval=second)
"""
RESULTS = """
import json
from django_celery_results.models import TaskResult
rows = TaskResult.objects.filter(periodic_task_name="each second").values_list("task_name", "status", "worker")
print(json.dumps(list(rows)))
"""


@pytest.fixture
def worker(project: Project) -> Process:
    args = ["-A", "opsproject", "worker", "-P", "threads", "-c", "2", "-l", "INFO", "-Q", "default", "-n", "one@test"]
    return project.spawn([sys.executable, "-m", "celery", *args])


def test_a_schedule_is_dispatched_and_its_result_appears(project: Project, worker: Process) -> None:
    project.python(EVERY_SECOND)
    beat = project.start("run_beat", "-l", "info", "--", "--max-interval", "1")
    beat.wait_for_line(r"Sending due task each second \(opsproject\.celery\.debug_task\)", seconds=120)

    def done() -> list[list[str]]:
        return [row for row in json.loads(project.python(RESULTS)) if row[1] == "SUCCESS"]

    assert wait_for(done, seconds=120, every=0.5)[0] == ["opsproject.celery.debug_task", "SUCCESS", "one@test"]
    assert beat.terminate(seconds=20) == 0
    assert worker.terminate() == 0


def test_beat_waits_for_a_broker_that_starts_later(project: Project) -> None:
    beat = project.start("run_beat", "--broker-wait", "1s", REDIS_URL="redis://:s3cret@127.0.0.1:1/0")
    assert beat.wait(seconds=120) == 69
    assert "Waiting up to 1s for the broker at redis://:**@127.0.0.1:1/0" in beat.output
    assert "CommandError: The broker at redis://:**@127.0.0.1:1/0 does not answer" in beat.output
    assert "s3cret" not in beat.output


def test_each_tick_touches_the_heartbeat_file(project: Project) -> None:
    folder = project.var / "run"
    folder.mkdir(parents=True, exist_ok=True)
    beat = project.start("run_beat", MAINTENANCE_RUN_DIR=str(folder))
    first = wait_for(lambda: (folder / "beat").exists() and (folder / "beat").stat().st_mtime_ns, seconds=120)
    wait_for(lambda: (folder / "beat").stat().st_mtime_ns > first, about="the next tick")
    assert beat.terminate(seconds=20) == 0


def test_a_changed_row_is_live_soon(project: Project) -> None:
    project.python(EVERY_SECOND.replace("every=1", "every=3600"))
    beat = project.start("run_beat")
    beat.wait_for_line("1 changed", seconds=120)
    project.python(
        "from django_celery_beat.models import IntervalSchedule, PeriodicTask\n"
        "row = PeriodicTask.objects.get(name='each second')\n"
        "row.interval = IntervalSchedule.objects.create(every=1, period='seconds')\nrow.save()"
    )
    # On an idle machine within 5 s, as the benchmark tells; here only a hang counts.
    beat.wait_for_line("Sending due task each second", seconds=120)
    assert beat.terminate(seconds=20) == 0
