"""When schedules run next: 2,000 random crontabs against cronsim, and what clock changes do.

The classes of difference are explained in docs/architecture.md.
"""

import random
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab, solar
from cronsim import CronSim
from django_celery_beat.clockedschedule import clocked

from maintenance.schedules import spellings, transitions, upcoming
from maintenance.schedules.timings import Crontab

CHANGING = ("America/New_York", "Europe/Berlin", "Australia/Lord_Howe")
STEADY = ("Asia/Shanghai", "Asia/Kolkata", "America/Sao_Paulo", "UTC")
RUNS = 6
AFTERMATH = timedelta(hours=24)
"""cronsim leaves out the first half hour of hours until midnight after a change by 30 minutes (Lord Howe)."""


def field(chance: random.Random, low: int, high: int) -> str:
    first, last = sorted((chance.randint(low, high), chance.randint(low, high)))
    several = ",".join(map(str, sorted(chance.sample(range(low, high + 1), 3))))
    return chance.choice(["*", str(first), f"*/{chance.randint(2, max(2, high // 2))}", f"{first}-{last}", several])


def written(chance: random.Random, *, both_days: bool = False, month: str = "") -> str:
    minute, hour, month = field(chance, 0, 59), field(chance, 0, 23), month or field(chance, 1, 12)
    day, weekday = field(chance, 1, 28), field(chance, 0, 6)
    if not both_days:
        day, weekday = chance.choice([("*", "*"), (day, "*"), ("*", weekday)])
    return f"{minute} {hour} {day} {month} {weekday}"


def timing_of(text: str, zone: str) -> Crontab:
    minute, hour, day, month, weekday = text.split()
    return spellings.from_crontab(crontab(minute, hour, weekday, day, month), zone=zone)


def changes(zone: str) -> list[datetime]:
    """Return the moments in 2030 and 2031 at which the clocks change, found without the code under test."""
    hours = [datetime(2030, 1, 1, tzinfo=UTC) + timedelta(minutes=30 * n) for n in range(2 * 17_520)]
    local = ZoneInfo(zone)
    return [b for a, b in pairwise(hours) if a.astimezone(local).utcoffset() != b.astimezone(local).utcoffset()]


@pytest.mark.parametrize("zone", [*CHANGING, *STEADY])
def test_cronsim_agrees_but_within_a_day_of_a_clock_change(zone: str) -> None:
    chance = random.Random(f"{zone} 2030")
    near = changes(zone)
    assert bool(near) == (zone in CHANGING)
    visited = 0
    for number in range(2_002 // 7):
        text = written(chance)
        start = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randint(0, 365 * 1440))
        if near and number % 3 == 0:
            text = written(chance, month="*")
            start = chance.choice(near[:3]) - timedelta(minutes=chance.randint(0, 1800))
        ours = list(islice(upcoming.runs(timing_of(text, zone), start), RUNS))
        simulated = CronSim(text, start.astimezone(ZoneInfo(zone)))
        crons = [next(simulated).astimezone(UTC) for _ in range(RUNS)]
        visited += any(abs(run - change) < AFTERMATH for run in ours for change in near)
        for run in set(ours).symmetric_difference(crons):
            if run > min(ours[-1], crons[-1]):
                continue  # the shorter list ends here
            assert any(-AFTERMATH < run - change < AFTERMATH for change in near), (text, start, ours, crons)
    assert visited >= (len(near) > 0) * 30, "the changes are really visited"


def test_both_day_fields_must_match_where_cron_takes_either() -> None:
    chance = random.Random(2030)
    for _ in range(25):
        text = written(chance, both_days=True, month="*")
        timing, start = timing_of(text, "UTC"), datetime(2030, 3, 1, 12, 30, tzinfo=UTC)
        end = start + timedelta(days=40)
        minutes = (start + timedelta(minutes=n) for n in range(1, 40 * 1440 + 1))
        matching = (minute for minute in minutes if transitions.matches(timing, minute.replace(tzinfo=None)))
        expected = list(islice(matching, RUNS))
        found = [run for run in islice(upcoming.runs(timing, start), RUNS) if run <= end]
        assert found == expected, text


@pytest.mark.parametrize(
    ("text", "zone", "effects"),
    [
        ("30 2 * * *", "Europe/Berlin", ["as usual", "as usual"]),
        ("30 2,3 * * *", "Europe/Berlin", ["not at all", "as usual"]),
        ("30 3 * * *", "Europe/Berlin", ["as usual", "as usual"]),
        ("*/30 * * * *", "Europe/Berlin", ["2 runs fewer", "as usual"]),
        ("0 12 * * *", "America/New_York", ["as usual", "as usual"]),
        ("0 3 * * *", "Asia/Kolkata", []),
    ],
)
def test_what_the_next_two_clock_changes_do(text: str, zone: str, effects: list[str]) -> None:
    found = list(transitions.transitions(timing_of(text, zone), now=datetime(2030, 1, 1, tzinfo=UTC)))
    assert [change.effect for change in found] == effects


def test_the_moments_of_the_changes() -> None:
    found = transitions.transitions(timing_of("0 3 * * *", "Australia/Lord_Howe"), now=datetime(2030, 1, 1, tzinfo=UTC))
    assert [(change.at, change.shift) for change in found] == [
        (datetime(2030, 4, 6, 15, tzinfo=UTC), timedelta(minutes=-30)),
        (datetime(2030, 10, 5, 15, 30, tzinfo=UTC), timedelta(minutes=30)),
    ]


NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "following"),
    [
        (90, [NOON + timedelta(seconds=90), NOON + timedelta(seconds=180)]),
        (clocked(NOON + timedelta(hours=1)), [NOON + timedelta(hours=1)]),
        (clocked(NOON), []),
        (crontab(minute=0), [NOON + timedelta(hours=1), NOON + timedelta(hours=2)]),
    ],
)
def test_each_kind_names_its_next_runs(value: Any, following: list[datetime]) -> None:
    assert list(islice(upcoming.runs(spellings.of(value, zone="UTC"), NOON), 2)) == following


def test_the_sun_sets_once_a_day() -> None:
    first, second = islice(upcoming.runs(spellings.of(solar("sunset", 52.52, 13.405), zone="UTC"), NOON), 2)
    assert NOON < first < NOON + timedelta(hours=4)
    assert timedelta(hours=23) < second - first < timedelta(hours=25)
