"""Maintenance runs: a failed one is told by the last result of its schedule."""

from datetime import UTC, datetime

import pytest
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from django_celery_results.models import TaskResult
from health_check.exceptions import ServiceUnavailable

from maintenance.health.checks import Runs

pytestmark = pytest.mark.django_db


def ended(schedule: str, status: str, hour: int) -> None:
    row = TaskResult.objects.create(task_id=f"{schedule}{hour}", periodic_task_name=schedule, status=status)
    TaskResult.objects.filter(pk=row.pk).update(date_done=datetime(2030, 1, 1, hour, tzinfo=UTC))


@pytest.fixture(autouse=True)
def _schedules() -> None:
    day = IntervalSchedule.objects.create(every=1, period="days")
    for name, task in {"nightly": "maintenance.backup", "pay": "shop.pay"}.items():
        PeriodicTask.objects.create(name=name, task=task, interval=day)


def told() -> str:
    return " ".join(each for each in Runs().ask() if isinstance(each, str))


def test_the_last_run_decides() -> None:
    assert told() == "The last of each of 0 ended well."
    ended("nightly", "FAILURE", 1)
    ended("pay", "FAILURE", 1)
    with pytest.raises(ServiceUnavailable) as ill:
        told()
    assert ill.value.message == "The last run of 'nightly' failed at 2030-01-01T01:00:00+00:00."
    ended("nightly", "SUCCESS", 2)
    assert told() == "The last of each of 1 ended well."


def test_a_disabled_schedule_is_nobodys_business() -> None:
    ended("nightly", "FAILURE", 1)
    PeriodicTask.objects.filter(name="nightly").update(enabled=False)
    assert told() == "The last of each of 0 ended well."
