"""The listing of schedules in words and as a document, its times in one zone."""

from collections.abc import Iterator
from datetime import datetime, tzinfo
from typing import Any

from .. import units
from .listing import Listed


def lines(each: Listed, *, zone: tzinfo, now: datetime) -> Iterator[str]:
    """Yield a schedule's line, and below it its runs."""
    entry = each.entry
    marks = [each.source, *([] if entry.enabled else ["disabled"]), *(["LATE"] if each.late else [])]
    yield f"{entry.name}: {entry.task}, {entry.timing} ({', '.join(marks)})"
    for run in each.next_runs:
        yield f"    next {_local(run, zone)} ({_away(run, now)})"
    if each.last_sent:
        yield f"    last sent {_local(each.last_sent, zone)}"
    if each.finished:
        took = f" after {units.human_duration(each.finished.took)}" if each.finished.took is not None else ""
        yield f"    last finished {_local(each.finished.at, zone)}: {each.finished.status}{took}"
    for change in each.transitions:
        yield f"    clocks change {_local(change.at, zone)}: {change.effect}"


def facts(each: Listed, *, zone: tzinfo) -> dict[str, Any]:
    """Return a schedule as list_schedules --json prints it."""
    done = each.finished
    return {
        "name": each.entry.name,
        "task": each.entry.task,
        "schedule": str(each.entry.timing),
        "timezone": getattr(each.entry.timing, "zone", None),
        "enabled": each.entry.enabled,
        "source": each.source,
        "next": [run.astimezone(zone) for run in each.next_runs],
        "last_sent": each.last_sent and each.last_sent.astimezone(zone),
        "sent": each.sent,
        "last_finished": done and {"at": done.at.astimezone(zone), "status": done.status, "seconds": done.took},
        "late": each.late,
        "clock_changes": [{"at": change.at.astimezone(zone), "effect": change.effect} for change in each.transitions],
    }


def _local(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).isoformat(sep=" ", timespec="seconds")


def _away(run: datetime, now: datetime) -> str:
    seconds = (run - now).total_seconds()
    words = units.human_duration(round(abs(seconds)))
    return f"in {words}" if seconds > 0 else f"due for {words}"
