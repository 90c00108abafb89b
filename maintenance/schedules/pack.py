"""The recommended schedules of the maintenance tasks, for CELERY_BEAT_SCHEDULE."""

from collections.abc import Iterable
from typing import Any, Final

from celery.schedules import crontab

HEAVY_QUEUE: Final = "heavy_tasks"
# A run that waited longer is dropped: the next one does its work, and runs never pile up. In seconds.
_EXPIRES: Final = 3600


def pack(queues: Iterable[Any] = ()) -> dict[str, dict[str, Any]]:
    """Return the schedules: backup, results and sessions at night, the cache on Sundays.

    ``queues`` are the declared queues (names or kombu Queues): where ``heavy_tasks`` is among them the heavy tasks go
    there, elsewhere they stay on the default queue. Safe to call while settings are being read.
    """
    names = {str(getattr(queue, "name", queue)) for queue in queues}
    heavy = {"queue": HEAVY_QUEUE} if HEAVY_QUEUE in names else {}
    return {
        "maintenance.backup": _entry("maintenance.backup", crontab(hour="2", minute="15"), heavy),
        "maintenance.purge_results": _entry("maintenance.purge_results", crontab(hour="3", minute="15"), heavy),
        "maintenance.clear_sessions": _entry("maintenance.clear_sessions", crontab(hour="3", minute="45"), heavy),
        "maintenance.clear_cache": _entry(
            "maintenance.clear_cache", crontab(hour="4", minute="15", day_of_week="sunday"), {}
        ),
    }


def _entry(task: str, schedule: crontab, options: dict[str, Any]) -> dict[str, Any]:
    return {"task": task, "schedule": schedule, "options": {"expires": _EXPIRES, **options}}
