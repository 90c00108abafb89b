"""When a Redis broker hands an unacknowledged message out again, and how long one may be held."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from celery import Celery

from .. import project

KOMBU_DEFAULT: Final = 3600.0
_CELERY_BACKOFF: Final = 600.0


def timeout(app: Celery) -> float:
    """Return the seconds after which an unacknowledged message is handed out again."""
    return float((app.conf.broker_transport_options or {}).get("visibility_timeout", KOMBU_DEFAULT))


def longest(app: Celery) -> tuple[float, str]:
    """Return the longest hard time limit in seconds (0: none), and whose it is."""
    limits = {project.setting_name(app, "task_time_limit"): float(app.conf.task_time_limit or 0)}
    limits |= {f"task {name}": float(task.time_limit or 0) for name, task in app.tasks.items()}
    return _largest(limits)


def waits(app: Celery, *, entries: Mapping[str, Any] | None = None) -> dict[str, float]:
    """Return for how many seconds workers hold messages until they are due, as far as is declared, by who sends them.

    ``entries`` are those of the beat schedule that count (default: all). Retries and countdowns are ETAs.
    """
    found = {f"task {name}": _longest_retry(task) for name, task in sorted(app.tasks.items())}
    given = app.conf.beat_schedule if entries is None else entries
    found |= {f"schedule {name}": _countdown(entry) for name, entry in given.items()}
    return {who: seconds for who, seconds in found.items() if seconds}


def longest_wait(app: Celery) -> tuple[float, str]:
    """Return the longest of the waits (0: none), and whose it is."""
    return _largest({"": 0.0} | waits(app))


def _longest_retry(task: Any) -> float:
    if not task.max_retries:
        return 0.0
    if getattr(task, "retry_backoff", False):
        return float(getattr(task, "retry_backoff_max", _CELERY_BACKOFF))
    return _seconds(task.default_retry_delay)


def _countdown(entry: object) -> float:
    return _seconds((entry.get("options") or {}).get("countdown")) if isinstance(entry, Mapping) else 0.0


def _seconds(value: object) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return float(value) if isinstance(value, int | float) else 0.0


def _largest(values: Mapping[str, float]) -> tuple[float, str]:
    source = max(values, key=lambda name: values[name])
    return values[source], source
