"""Which looks at a check are worth a message. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from ..base import OK, UNKNOWN, WARNING
from ..runner import Finding

FAILING: Final = "failing"
CHANGED: Final = "changed"
STILL: Final = "still failing"
RECOVERED: Final = "recovered"


@dataclass(frozen=True)
class Known:
    """What is known of a check: the state that was told, and what the last looks saw."""

    state: str
    since: datetime
    told: datetime | None
    seen: str
    seen_since: datetime
    looks: int
    """So many looks in a row saw ``seen``; not counted further than what makes it worth a message."""


@dataclass(frozen=True)
class Change:
    """What is worth a message. ``since`` is when the state before it (``recovered``), or it itself, began."""

    kind: str
    before: str
    since: datetime


def causes(findings: Iterable[Finding], needs: Mapping[str, Iterable[str]]) -> list[Finding]:
    """Return the findings without those that could not be asked because what they need is broken: that is told."""
    found = {finding.id: finding for finding in findings}
    broken = {id for id, finding in found.items() if finding.state not in (OK, WARNING)}
    return [
        finding
        for id, finding in found.items()
        if finding.state != UNKNOWN or not broken.intersection(needs.get(id, ()))
    ]


def new(now: datetime) -> Known:
    """Return what is known of a check that nobody has looked at: it was well."""
    return Known(OK, now, None, OK, now, 0)


def step(
    known: Known, state: str, *, now: datetime, looks: int, remind_after: timedelta
) -> tuple[Known, Change | None]:
    """Return what is known after a look that saw ``state``, and the change that is to be told, if any.

    A state counts after ``looks`` looks in a row, so that a flapping check is silent. ``remind_after`` 0 is never.
    """
    if state == known.seen:
        known = replace(known, looks=min(known.looks + 1, looks))
    else:
        known = replace(known, seen=state, seen_since=now, looks=1)
    if state != known.state and known.looks >= looks:
        told = replace(known, state=state, since=known.seen_since, told=now)
        if state == OK:
            return told, Change(RECOVERED, known.state, known.since)
        return told, Change(FAILING if known.state == OK else CHANGED, known.state, told.since)
    if state == known.state != OK and remind_after and known.told and known.told + remind_after <= now:
        return replace(known, told=now), Change(STILL, known.state, known.since)
    return known, None
