"""Two charts: runs by the hour, stacked, and the slowest tasks. Geometry only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..results.history import Duration, Hour

_HEIGHT = 100
_SLOWEST = 15


@dataclass(frozen=True)
class Column:
    """An hour: where it stands, and how high its failed and other runs reach, of 100."""

    x: int
    at: datetime
    ok: int
    failed: int
    ok_y: float
    ok_height: float
    failed_y: float
    failed_height: float


@dataclass(frozen=True)
class Columns:
    """The chart of hours."""

    columns: tuple[Column, ...]
    width: int
    most: int
    ok: int
    failed: int
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Row:
    """A task, how long 95 of 100 of its runs took at most, and its share of the slowest one's, in per cent."""

    task: str
    runs: int
    p95: float
    share: float


def columns(hours: Sequence[Hour], *, start: datetime, now: datetime) -> Columns:
    """Return a column for each hour since ``start``, the empty ones too."""
    first = start.replace(minute=0, second=0, microsecond=0)
    number = int((now - first) // timedelta(hours=1)) + 1
    by_hour = {hour.at: hour for hour in hours}
    found = [by_hour.get(first + timedelta(hours=x)) or Hour(first + timedelta(hours=x), 0, 0) for x in range(number)]
    most = max(hour.ok + hour.failed for hour in found)
    return Columns(
        columns=tuple(_column(x, hour, most) for x, hour in enumerate(found) if hour.ok or hour.failed),
        width=number,
        most=most,
        ok=sum(hour.ok for hour in found),
        failed=sum(hour.failed for hour in found),
        start=first,
        end=now,
    )


def rows(durations: Sequence[Duration]) -> tuple[Row, ...]:
    """Return the slowest tasks, the slowest first."""
    longest = max((each.p95 for each in durations), default=0.0) or 1.0
    return tuple(
        Row(each.task or "(no name)", each.runs, each.p95, round(100 * each.p95 / longest, 2))
        for each in durations[:_SLOWEST]
    )


def _column(x: int, hour: Hour, most: int) -> Column:
    failed = round(hour.failed * _HEIGHT / most, 2)
    ok = round(hour.ok * _HEIGHT / most, 2)
    return Column(
        x, hour.at, hour.ok, hour.failed, round(_HEIGHT - failed - ok, 2), ok, round(_HEIGHT - failed, 2), failed
    )
