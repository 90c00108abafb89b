"""run_schedule with a real broker and a real worker."""

import json
import re

from tests.processes import Project

MAKE = """
from django_celery_beat.models import IntervalSchedule, PeriodicTask
daily = IntervalSchedule.objects.create(every=1, period="days")
task = "opsproject.examples.tasks.add"
PeriodicTask.objects.create(name="sum", task=task, args="[2, 3]", interval=daily, queue="heavy_tasks")
PeriodicTask.objects.create(name="wrong", task=task, args='["x", 3]', interval=daily, enabled=False)
"""
FOUND = """
from django_celery_results.models import TaskResult
for row in TaskResult.objects.all():
    print(row.task_id, row.periodic_task_name, row.status)
"""


def test_the_result_is_shown_and_belongs_to_the_schedule(project: Project) -> None:
    project.python(MAKE)
    worker = project.start("run_worker", "-c", "1")
    worker.wait_for_line(r" ready\.", seconds=120)
    done = project.manage("run_schedule", "sum", "--wait", "--json")
    document = json.loads(done.stdout)
    assert document == {
        "schema_version": 1,
        "name": "sum",
        "task": "opsproject.examples.tasks.add",
        "id": document["id"],
        "status": "SUCCESS",
        "result": 5,
    }
    assert project.python(FOUND) == f"{document['id']} sum SUCCESS\n"
    failed = project.manage("run_schedule", "wrong", "--wait", check=False)
    assert (failed.stdout, failed.returncode) == ("", 1)
    assert re.fullmatch(
        r"CommandError: The task [-0-9a-f]{36} ended with FAILURE: TypeError\(.+\)\.\n", failed.stderr
    ), failed.stderr


def test_without_a_worker_it_gives_up_in_time(project: Project) -> None:
    project.python(MAKE)
    late = project.manage("run_schedule", "sum", "--wait", "--timeout", "1s", check=False)
    assert (late.stdout, late.returncode) == ("", 75)
    assert re.fullmatch(
        r"CommandError: The task [-0-9a-f]{36} did not finish within 1s\. Is there a worker for its queue\? "
        r"Look at its result later, or pass a longer --timeout\.\n",
        late.stderr,
    ), late.stderr
