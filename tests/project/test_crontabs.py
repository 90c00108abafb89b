"""The guide's schedules: when Celery really fires them, told by hand, and agreed with by cronsim.

Celery's times come from its own is_due, asked the way beat asks it: at the moment that the last answer named.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any

import pytest
import time_machine
from celery import Celery
from celery.beat import Scheduler
from celery.schedules import crontab, schedule
from cronsim import CronSim

from opsproject.examples.schedules import CRONTABS, KINDS, Example
from tests.project.conftest import Outbox

MINUTE = timedelta(minutes=1)
MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
"""A Monday, in a leap year."""

Told = tuple[str, timedelta, int, list[str]]

# Cron text written by hand, a span, how often the schedule fires in it, and its first times after Monday 00:00:00.
TOLD: dict[str, Told] = {
    "crontab()": ("* * * * *", timedelta(days=1), 1440, ["01-01 00:01", "01-01 00:02", "01-01 00:03"]),
    "crontab(minute=0, hour=0)": ("0 0 * * *", timedelta(days=366), 366, ["01-02 00:00", "01-03 00:00"]),
    "crontab(minute=0, hour='*/3')": (
        "0 */3 * * *",
        timedelta(days=60),
        480,
        [f"01-01 {hour:02}:00" for hour in (3, 6, 9, 12, 15, 18, 21)] + ["01-02 00:00"],
    ),
    "crontab(minute=0, hour='0,3,6,9,12,15,18,21')": (
        "0 0,3,6,9,12,15,18,21 * * *",
        timedelta(days=60),
        480,
        [f"01-01 {hour:02}:00" for hour in (3, 6, 9, 12, 15, 18, 21)] + ["01-02 00:00"],
    ),
    "crontab(minute='*/15')": (
        "*/15 * * * *",
        timedelta(days=10),
        960,
        ["01-01 00:15", "01-01 00:30", "01-01 00:45", "01-01 01:00", "01-01 01:15"],
    ),
    "crontab(day_of_week='sunday')": (
        "* * * * 0",
        timedelta(days=14),
        2 * 1440,
        ["01-07 00:00", "01-07 00:01", "01-07 00:02"],
    ),
    "crontab(minute='*', hour='*', day_of_week='sun')": (
        "* * * * SUN",
        timedelta(days=14),
        2 * 1440,
        ["01-07 00:00", "01-07 00:01", "01-07 00:02"],
    ),
    "crontab(minute='*/10', hour='3,17,22', day_of_week='thu,fri')": (
        "*/10 3,17,22 * * 4,5",
        timedelta(weeks=9),
        9 * 2 * 3 * 6,
        [f"01-04 {hour:02}:{minute}0" for hour in (3, 17, 22) for minute in range(6)] + ["01-05 03:00"],
    ),
    "crontab(minute=0, hour='*/2,*/3')": (
        "0 0,2,3,4,6,8,9,10,12,14,15,16,18,20,21,22 * * *",
        timedelta(days=60),
        960,
        [f"01-01 {hour:02}:00" for hour in range(24) if hour not in (0, 1, 5, 7, 11, 13, 17, 19, 23)] + ["01-02 00:00"],
    ),
    "crontab(minute=0, hour='*/5')": (
        "0 */5 * * *",
        timedelta(days=60),
        300,
        ["01-01 05:00", "01-01 10:00", "01-01 15:00", "01-01 20:00", "01-02 00:00"],
    ),
    "crontab(minute=0, hour='*/3,8-17')": (
        "0 */3,8-17 * * *",
        timedelta(days=60),
        60 * 15,
        [f"01-01 {hour:02}:00" for hour in (3, 6, *range(8, 18), 18, 21)] + ["01-02 00:00"],
    ),
    "crontab(0, 0, day_of_month='2')": (
        "0 0 2 * *",
        timedelta(days=366),
        12,
        ["01-02 00:00", "02-02 00:00", "03-02 00:00"],
    ),
    "crontab(0, 0, day_of_month='2-30/2')": (
        "0 0 2-30/2 * *",
        timedelta(days=366),
        11 * 15 + 14,
        [f"01-{day:02} 00:00" for day in range(2, 31, 2)]
        + [f"02-{day:02} 00:00" for day in range(2, 29, 2)]
        + ["03-02 00:00"],
    ),
    "crontab(0, 0, day_of_month='1-7,15-21')": (
        "0 0 1-7,15-21 * *",
        timedelta(days=366),
        12 * 14,
        [f"01-{day:02} 00:00" for day in (*range(2, 8), *range(15, 22))] + ["02-01 00:00"],
    ),
    "crontab(0, 0, day_of_month='11', month_of_year='5')": (
        "0 0 11 5 *",
        timedelta(days=9 * 366),
        9,
        ["05-11 00:00", "05-11 00:00"],
    ),
    "crontab(0, 0, month_of_year='*/3')": (
        "0 0 * 1,4,7,10 *",
        timedelta(days=366),
        31 + 30 + 31 + 31,
        [f"01-{day:02} 00:00" for day in range(2, 32)] + ["04-01 00:00"],
    ),
    "crontab(hour=7, minute=30, day_of_week=1)": (
        "30 7 * * MON",
        timedelta(weeks=52),
        52,
        ["01-01 07:30", "01-08 07:30", "01-15 07:30"],
    ),
}


class Clock:
    """The time that a schedule is told."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def app() -> Celery:
    app = Celery("crontabs", set_as_current=False)
    app.conf.update(timezone="UTC", enable_utc=True)
    return app


def timed(example: Example, clock: Clock, app: Celery) -> crontab:
    """Return the example's schedule, as it is written, on a clock of its own."""
    made = eval(example.written, {"crontab": partial(crontab, nowfun=clock, app=app)})  # noqa: S307 - our own data
    assert isinstance(made, crontab)
    return made


def firings(example: Example, app: Celery, start: datetime) -> Iterator[datetime]:
    """Yield when Celery fires what last ran at ``start``; each time, check that just before it was not due."""
    clock = Clock(start)
    due_at = timed(example, clock, app)
    last_run = start
    due, seconds = due_at.is_due(last_run)
    assert not due
    while True:
        clock.now += timedelta(seconds=seconds - 0.001)
        assert not due_at.is_due(last_run).is_due
        clock.now += timedelta(seconds=0.001)
        due, seconds = due_at.is_due(last_run)
        assert due
        yield (last_run := clock.now)


def test_there_are_the_guides_seventeen() -> None:
    assert [example.written for example in CRONTABS] == list(TOLD)
    assert len(CRONTABS) == 17


@pytest.mark.parametrize("example", CRONTABS, ids=lambda example: example.written)
def test_a_schedule_is_what_is_written(example: Example) -> None:
    assert eval(example.written, {"crontab": crontab}) == example.schedule  # noqa: S307 - our own data


@pytest.mark.parametrize("example", CRONTABS, ids=lambda example: example.written)
def test_celery_fires_when_the_table_says_and_cronsim_agrees(example: Example, app: Celery) -> None:
    cron, span, count, first = TOLD[example.written]
    end = MONDAY + span

    celerys = []
    for time in firings(example, app, MONDAY):
        if time > end:
            break
        celerys.append(time)

    assert [f"{time:%m-%d %H:%M}" for time in celerys[: len(first)]] == first
    assert len(celerys) == count
    assert celerys == list(islice(CronSim(cron, MONDAY), count))
    assert next(time for time in CronSim(cron, celerys[-1])) > end


@pytest.mark.parametrize(
    ("one", "other"), [("crontab(day_of_week='sunday')", "crontab(minute='*', hour='*', day_of_week='sun')")]
)
def test_two_spellings_are_one_schedule(one: str, other: str) -> None:
    schedules = {example.written: example.schedule for example in CRONTABS}
    assert schedules[one] == schedules[other]


@pytest.mark.parametrize(
    ("start", "first"),
    [
        (datetime(2023, 2, 28, 12, tzinfo=UTC), "2023-03-02"),
        (datetime(2024, 2, 28, 12, tzinfo=UTC), "2024-03-02"),
        (datetime(2024, 12, 30, 12, tzinfo=UTC), "2025-01-02"),
    ],
)
def test_even_days_skip_what_a_month_does_not_have(app: Celery, start: datetime, first: str) -> None:
    even = next(example for example in CRONTABS if "2-30/2" in example.written)
    assert f"{next(firings(even, app, start)):%Y-%m-%d}" == first


# --- The three kinds


def test_the_three_kinds_are_a_number_a_timedelta_and_a_crontab() -> None:
    assert {kind: type(entry["schedule"]) for kind, entry in KINDS.items()} == {
        "a number of seconds": float,
        "a timedelta": timedelta,
        "a crontab": crontab,
    }


@pytest.mark.parametrize(
    ("kind", "seconds"), [("a number of seconds", 30), ("a timedelta", 600), ("a crontab", 7.5 * 3600)]
)
def test_celerys_beat_sends_each_kind_on_time(outbox: Outbox, kind: str, seconds: float) -> None:
    entry: dict[str, Any] = KINDS[kind]
    queue = "heavy_tasks" if kind == "a crontab" else "default"
    with time_machine.travel(MONDAY, tick=False) as clock:
        beat = Scheduler(outbox.app, lazy=True)
        beat.update_from_dict({kind: entry})
        assert isinstance(beat.schedule[kind].schedule, schedule | crontab)

        clock.move_to(MONDAY + timedelta(seconds=seconds - 1))
        beat.tick()
        assert outbox.count(queue) == 0

        clock.move_to(MONDAY + timedelta(seconds=seconds))
        beat.tick()
        assert outbox.take(queue) == (entry["task"], list(entry["args"]))
        beat.tick()
        assert outbox.count(queue) == 0
