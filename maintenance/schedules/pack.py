"""The recommended schedules of the maintenance tasks, for CELERY_BEAT_SCHEDULE."""

from collections.abc import Iterable
from typing import Any, Final

from celery.schedules import crontab

HEAVY_QUEUE: Final = "heavy_tasks"
# A run that waited longer is dropped: the next one does its work, and runs never pile up. In seconds.
_EXPIRES: Final = 3600

# Name, hour and minute, and what differs. They are daily, but for what says its own times; what takes minutes is heavy.
_NIGHTLY: Final[tuple[tuple[str, int, int, dict[str, Any]], ...]] = (
    ("maintenance.backup", 2, 15, {}),
    ("maintenance.purge_results", 3, 15, {}),
    ("maintenance.clear_sessions", 3, 45, {}),
    ("maintenance.cull_caches", 4, 15, {"task": "maintenance.clear_cache", "kwargs": {"expired": True}}),
    ("maintenance.clear_files", 4, 45, {}),
    # A drill restores all of it, which takes time and space: on Sundays.
    ("maintenance.verify_backup", 5, 15, {"schedule": crontab(hour="5", minute="15", day_of_week="sun")}),
    # Every 5 minutes; a look that waited for so long is worth nothing.
    ("maintenance.monitor", 0, 0, {"schedule": crontab(minute="*/5"), "options": {"expires": 240}}),
)
_LIGHT: Final = frozenset({"maintenance.cull_caches"})


def pack(queues: Iterable[Any] = ()) -> dict[str, dict[str, Any]]:
    """Return the schedules: each night a backup, then old results, sessions, cached entries, files go; weekly a drill.

    And every 5 minutes a look at everything, which tells of what changed.

    ``queues`` are the declared queues (names or kombu Queues): where ``heavy_tasks`` is among them the heavy tasks go
    there, elsewhere they stay on the default queue. Safe to call while settings are being read.
    """
    names = {str(getattr(queue, "name", queue)) for queue in queues}
    return {
        name: {
            "task": name,
            "schedule": crontab(hour=str(hour), minute=str(minute)),
            "options": {
                "expires": _EXPIRES,
                **({"queue": HEAVY_QUEUE} if HEAVY_QUEUE in names and name not in _LIGHT else {}),
            },
            **differs,
        }
        for name, hour, minute, differs in _NIGHTLY
    }


MAINTENANCE_SCHEDULE: Final = pack([HEAVY_QUEUE])
"""The pack as a dict, for a project that has a queue ``heavy_tasks`` and a worker for it."""
