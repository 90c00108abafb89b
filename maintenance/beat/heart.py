"""The heartbeat of a beat whose scheduler is another than ours: each tick of it is one."""

from typing import Any

from celery import signals

from .. import heartbeat, process


def connect() -> None:
    """Listen for a beat that starts in this process."""
    signals.beat_init.connect(_keep, dispatch_uid="maintenance.beat.heart")


def _keep(sender: Any, **kwargs: Any) -> None:
    environment, scheduler = process.environment(), sender.scheduler
    if heartbeat.VARIABLE not in environment or getattr(scheduler, "keeps_its_heartbeat", False):
        return
    heart = heartbeat.Heart(f"{heartbeat.folder(environment)}/{heartbeat.BEAT}")
    tick, close = scheduler.tick, scheduler.close

    def ticked(*args: Any, **kwargs: Any) -> Any:
        # Whether the broker answers it does not tell: that it ticks is all that is known.
        heart.ready(True)
        return tick(*args, **kwargs)

    def closed() -> Any:
        heart.end()
        return close()

    scheduler.tick, scheduler.close = ticked, closed
