"""What others may know of the tables without their columns: which schedules are enabled, and whether any changed."""

from datetime import datetime

from django.db import router
from django_celery_beat.models import PeriodicTask, PeriodicTasks


def alias() -> str:
    """Return the alias of the database that is read."""
    return router.db_for_read(PeriodicTask)


def some(*, using: str) -> bool:
    """Whether any schedule is enabled."""
    found: bool = PeriodicTask.objects.using(using).filter(enabled=True).exists()
    return found


def tasks(*, using: str, prefix: str = "") -> dict[str, str]:
    """Return the task of each enabled schedule whose task begins with ``prefix``, by the schedule's name, in order."""
    rows = PeriodicTask.objects.using(using).filter(enabled=True, task__startswith=prefix).order_by("name")
    return dict(rows.values_list("name", "task"))


def mark(*, using: str) -> datetime | None:
    """Return when the tables last said that they changed; None where they never did."""
    marks = PeriodicTasks.objects.using(using).filter(ident=1).values_list("last_update", flat=True)
    found: datetime | None = marks.first()
    return found
