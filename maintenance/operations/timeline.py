"""The timeline: a lane for each schedule, with past runs as bars and future ones as ticks. Geometry only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..results.history import Run
from ..units import counted

SPAN = timedelta(hours=12)
# A lane shows so many future runs; what follows is drawn as a band.
MOST_TICKS = 48
_WIDTH = 1440  # a unit is a minute
_LANE = 34
_TOP = 22
_STATES = {"SUCCESS": "ok", "FAILURE": "failed", "STARTED": "running"}


@dataclass(frozen=True)
class Bar:
    """Past runs: left edge and width in per cent, and what they are."""

    x: float
    width: float
    state: str
    words: str


@dataclass(frozen=True)
class Band:
    """Runs too many to be drawn one by one: from where to where."""

    x: float
    width: float


@dataclass(frozen=True)
class Lane:
    """A schedule's line: bars, ticks (in minutes from the left edge), perhaps a band, and the same in words."""

    name: str
    y: int
    bars: tuple[Bar, ...]
    ticks: tuple[float, ...]
    band: Band | None
    words: str
    upcoming: tuple[datetime, ...]

    @property
    def label_y(self) -> int:
        return self.y + 11

    @property
    def bar_y(self) -> int:
        return self.y + 16

    @property
    def path(self) -> str:
        """The ticks as an SVG path: one element, however many there are."""
        return "".join(f"M{tick:g} 0V12" for tick in self.ticks)


@dataclass(frozen=True)
class Hour:
    """A line of the grid."""

    x: float
    at: datetime

    @property
    def is_labelled(self) -> bool:
        """Whether there is room for its time: not at the edges, and not where "now" stands."""
        return 3 <= self.x <= 97 and abs(self.x - 50) > 4


@dataclass(frozen=True)
class Timeline:
    """What is drawn."""

    start: datetime
    end: datetime
    now: datetime
    lanes: tuple[Lane, ...]
    hours: tuple[Hour, ...]
    height: int


def draw(
    names: Sequence[str],
    *,
    now: datetime,
    runs: Iterable[Run],
    upcoming: Mapping[str, Sequence[datetime]],
) -> Timeline:
    """Return the timeline of the schedules ``names``; ``upcoming`` holds at most MOST_TICKS + 1 next runs of each."""
    by_name: dict[str, list[Run]] = {name: [] for name in names}
    for run in runs:
        by_name[run.schedule].append(run)
    start = now - SPAN
    lanes = tuple(
        _lane(name, _TOP + _LANE * row, by_name[name], upcoming.get(name, ()), start, now)
        for row, name in enumerate(names)
    )
    first = start.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    hours = tuple(Hour(_percent(at, start), at) for at in (first + timedelta(hours=3 * step) for step in range(8)))
    return Timeline(start, now + SPAN, now, lanes, hours, _TOP + _LANE * len(names) + 4)


def _lane(name: str, y: int, runs: Sequence[Run], upcoming: Sequence[datetime], start: datetime, now: datetime) -> Lane:
    ahead = [run for run in upcoming if now <= run <= now + SPAN]
    shown = ahead[:MOST_TICKS]
    band = None
    if len(ahead) > MOST_TICKS:
        x = _percent(shown[-1], start)
        band = Band(x, 100 - x)
    ticks = dict.fromkeys(round((run - start).total_seconds() / 60, 1) for run in shown)
    bars = tuple(_bar(run, start, now) for run in sorted(runs, key=lambda run: (run.start, run.status)))
    return Lane(name, y, bars, tuple(ticks), band, _words(runs, ahead), tuple(shown))


def _bar(run: Run, start: datetime, now: datetime) -> Bar:
    begun = max(run.start, start)
    end = now if run.status == "STARTED" else run.end
    x = _percent(begun, start)
    state = _STATES.get(run.status, "other")
    seconds = max(0.0, (end - run.start).total_seconds())
    many = counted(run.count, "run")
    return Bar(x, max(0.25, _percent(end, start) - x), state, f"{run.status}: {many}, {seconds:.1f} s")


def _words(runs: Sequence[Run], ahead: Sequence[datetime]) -> str:
    count = {state: sum(run.count for run in runs if run.status == state) for state in _STATES}
    others = sum(run.count for run in runs) - sum(count.values())
    parts = [f"{count['SUCCESS']} succeeded", f"{count['FAILURE']} failed"]
    parts += [f"{count['STARTED']} running"] if count["STARTED"] else []
    parts += [f"{others} other"] if others else []
    more = "more than " if len(ahead) > MOST_TICKS else ""
    return f"{', '.join(parts)}; {more}{min(len(ahead), MOST_TICKS)} to come"


def _percent(moment: datetime, start: datetime) -> float:
    minutes = (moment - start).total_seconds() / 60
    return round(min(100.0, max(0.0, minutes * 100 / _WIDTH)), 3)
