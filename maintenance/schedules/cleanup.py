"""The two ways to delete old results on a schedule: Celery's own daily entry, and the task that replaces it."""

from typing import Any, Final

PURGE: Final = "maintenance.purge_results"
BACKEND_CLEANUP: Final = "celery.backend_cleanup"
"""The name and the task of the entry that Celery's own beat adds."""

DAILY: Final[dict[str, Any]] = {"minute": "0", "hour": "4"}
"""When Celery's beat runs it, as fields of a crontab."""

OPTIONS: Final[dict[str, Any]] = {"expires": 12 * 3600}
