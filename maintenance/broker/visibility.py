"""When a Redis broker hands an unacknowledged message out again, and how long one may be held."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from celery import Celery

KOMBU_DEFAULT = 3600.0


def timeout(app: Celery) -> float:
    """Return the seconds after which an unacknowledged message is handed out again."""
    return float((app.conf.broker_transport_options or {}).get("visibility_timeout", KOMBU_DEFAULT))


def longest(app: Celery) -> tuple[float, str]:
    """Return the longest time limit (0: none) and where it comes from."""
    limits = {"CELERY_TASK_TIME_LIMIT": float(app.conf.task_time_limit or 0)}
    limits |= {f"task {name}": float(task.time_limit or 0) for name, task in app.tasks.items()}
    return _largest(limits)


def longest_wait(app: Celery) -> tuple[float, str]:
    """Return the longest time that a worker holds a message until it is due, as far as is declared, and where."""
    waits = {f"task {name} (default_retry_delay)": _seconds(task.default_retry_delay) for name, task in _retried(app)}
    waits |= {
        f"schedule {name} (countdown)": _seconds((entry.get("options") or {}).get("countdown"))
        for name, entry in app.conf.beat_schedule.items()
        if isinstance(entry, Mapping)
    }
    return _largest(waits or {"": 0.0})


def _retried(app: Celery) -> list[tuple[str, Any]]:
    return [(name, task) for name, task in app.tasks.items() if getattr(task, "autoretry_for", None)]


def _seconds(value: object) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return float(value) if isinstance(value, int | float) else 0.0


def _largest(values: dict[str, float]) -> tuple[float, str]:
    source = max(values, key=lambda name: values[name])
    return values[source], source
