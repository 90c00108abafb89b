"""When an entry is due: due times after a moment, and what becomes of those that were missed. No clock, no database."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from ..misfire import Policy
from ..schedules.upcoming import length_of, next_after

# A crontab's missed due times are counted one by one: at most so many, then the search starts nearer to now.
MOST_STEPS = 2_000


@dataclass(frozen=True)
class Overdue:
    """Due times up to a moment: the latest ones, oldest first, and how many there are (at least, if not exact)."""

    latest: tuple[datetime, ...]
    count: int


@dataclass(frozen=True)
class Decision:
    """Which due times are sent, and how many earlier ones each of the policies left out."""

    send: tuple[datetime, ...]
    missed: int


def task_id(name: str, due: datetime) -> str:
    """Return the one task id of a schedule's due time."""
    return str(uuid5(NAMESPACE_URL, f"{name} {due.astimezone(UTC).isoformat()}"))


def until(schedule: Any, *, after: datetime, now: datetime, keep: int) -> Overdue:
    """Return the due times after ``after`` and up to ``now``: the ``keep`` latest, and their number."""
    if hasattr(schedule, "run_every"):
        length = length_of(schedule)
        count = (now - after) // length
        return Overdue(tuple(after + length * n for n in range(max(1, count - keep + 1), count + 1)), max(count, 0))
    count, steps, most = 0, 0, max(MOST_STEPS, 2 * keep)
    latest: deque[datetime] = deque(maxlen=keep)
    at = next_after(schedule, after)
    while at is not None and at <= now:
        latest.append(at)
        count, steps = count + 1, steps + 1
        if steps == most:
            nearer = max(at, now - (at - after) * 0.9)
            after, at, steps = nearer, next_after(schedule, nearer), 0
        else:
            at = next_after(schedule, at)
    return Overdue(tuple(latest), count)


def decide(overdue: Overdue, *, policy: Policy, now: datetime, late_after: timedelta, most: int) -> Decision:
    """Return what is sent of ``overdue``. Only ``skip`` asks whether the latest is later than ``late_after``."""
    if not overdue.latest:
        return Decision((), overdue.count)
    last = overdue.latest[-1]
    if policy.kind == "all":
        send: Sequence[datetime] = overdue.latest[-(policy.limit or most) :]
        return Decision(tuple(send), overdue.count - len(send))
    window = {"within": policy.window, "skip": late_after}.get(policy.kind)
    if window is not None and now - last > window:
        return Decision((), overdue.count)
    return Decision((last,), overdue.count - 1)
