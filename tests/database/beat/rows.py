"""Rows for the scheduler's tests, and the due times that came of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django_celery_beat.models import IntervalSchedule, PeriodicTask

from maintenance.models import ManagedSchedule

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
Sent = list[tuple[str, dict[str, Any]]]
"""What was sent: an entry's name, and the options of its message with the task's id."""


def every(seconds: int, name: str = "a", **fields: Any) -> PeriodicTask:
    interval, _ = IntervalSchedule.objects.get_or_create(every=seconds, period="seconds")
    return PeriodicTask.objects.create(name=name, task="some.task", interval=interval, **fields)


def managed(name: str, **fields: Any) -> None:
    ManagedSchedule.objects.create(name=name, fingerprint="", applied_at=NOON, **fields)


def dues(sent: Sent, name: str = "a") -> list[datetime]:
    return [datetime.fromisoformat(options["headers"]["maintenance_due"]) for who, options in sent if who == name]
