"""Beat: its start, and the scheduler that Celery opens as ``maintenance.beat:Scheduler``."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Import the schedulers only when Celery asks: they need django-celery-beat's tables."""
    if name in ("Scheduler", "UnleasedScheduler"):
        from . import scheduler

        return getattr(scheduler, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
