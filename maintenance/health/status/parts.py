"""The parts of the status, asked side by side: one that is silent says so, and the others are shown."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from celery import Celery

from ...backups.destination import Destination
from ..base import OK
from ..checks import Broker
from ..runner import Finding, look
from .part import Part
from .processes import Beats, Queues, Workers
from .stores import Backups, Failures, Results, Schedules

PARTS: Final = ("workers", "queues", "beat", "schedules", "failures", "backups", "results")


def parts(
    app: Celery,
    *,
    now: datetime,
    destinations: Callable[[], Sequence[Destination]],
    seconds: float,
    secrets: Sequence[str],
) -> list[tuple[Part, Finding]]:
    """Ask every part, ``seconds`` for all of them; return each with what became of it. ``now`` is aware."""
    wait = min(1.0, seconds / 4)
    asked: list[Part] = [
        Workers(app, wait),
        Queues(app, wait),
        Beats(app, wait),
        Schedules(now),
        Failures(),
        Backups(destinations()),
        Results(),
    ]
    first, *found = look([Broker(app), *asked], deadline=seconds, secrets=secrets)
    # What needs the broker says why that is silent, rather than that it must be mended first.
    return [
        (part, first if first.id in part.needs and first.state != OK else finding)
        for part, finding in zip(asked, found, strict=True)
    ]
