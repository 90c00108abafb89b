"""Next runs: they only ever grow, over every clock change, and what is listed is what beat waits for."""

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from celery.schedules import schedule
from django.db.models import CharField
from django.db.models.functions import Cast
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from django_celery_beat.tzcrontab import TzAwareCrontab

from maintenance.beat import rows
from maintenance.schedules import listing, upcoming

ZONES = (
    *("America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Antarctica/Troll"),
    *("Asia/Kolkata", "America/Sao_Paulo", "UTC"),
)
CHANGES = {
    "America/New_York": [datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)],
    "Europe/Berlin": [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)],
    "Australia/Lord_Howe": [datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(2026, 10, 3, 15, 30, tzinfo=UTC)],
    "Antarctica/Troll": [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)],
}
ORDINARY = [datetime(2026, 2, 28, 23, 30, tzinfo=UTC), datetime(2026, 12, 31, 23, 30, tzinfo=UTC)]
NOW = datetime(2026, 10, 25, 1, 25, tzinfo=UTC)
"""In Berlin 2:25, in the second pass of that hour."""
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def crontab(zone: str, **fields: str) -> Any:
    return TzAwareCrontab(**fields, tz=ZoneInfo(zone))


def test_after_the_first_pass_of_a_repeated_hour_comes_the_next_day() -> None:
    nightly = crontab("Europe/Berlin", minute="30", hour="2")
    assert upcoming.next_after(nightly, NOW) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
    assert upcoming.next_after(nightly, NOW - HOUR) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def some_crontab(chance: random.Random, zone: str) -> Any:
    minute = chance.choice(["*", "0", "30", "*/7", "*/20", "15,45", str(chance.randint(0, 59))])
    hour = chance.choice(["*", "0", "1", "2", "3", "1-3", "*/2", str(chance.randint(0, 23))])
    days = chance.choice([{}, {}, {"day_of_week": "0"}, {"day_of_month": "1,25,29"}])
    return crontab(zone, minute=minute, hour=hour, **days)


def springs(zone: str, change: datetime) -> bool:
    before, later = ((change + n * MINUTE).astimezone(ZoneInfo(zone)).utcoffset() for n in (-1, 1))
    assert before is not None
    assert later is not None
    return later > before


@pytest.mark.parametrize("zone", ZONES)
def test_due_times_grow_from_whatever_moment_around_a_change(zone: str) -> None:
    chance = random.Random(zone)
    for _ in range(150):
        asked = some_crontab(chance, zone)
        change = chance.choice(CHANGES.get(zone, ORDINARY))
        at = change - chance.randint(0, 5 * 3600) * SECOND
        found = [at]
        while found[-1] < change + 5 * HOUR and len(found) < 60:
            following = upcoming.next_after(asked, found[-1])
            assert following is not None
            found.append(following)
        assert all(before < later for before, later in pairwise(found)), (asked, found)
        for between in (at + chance.random() * (found[-1] - at) for _ in range(5)):
            following = upcoming.next_after(asked, between)
            assert following is not None
            assert following > between, (asked, between)
            if not springs(zone, change):
                assert following in found or following > found[-1], "from between two due times it is one of them"


def beats(now: datetime) -> dict[str, datetime | None]:
    """Return when beat, started ``now``, waits for each enabled row."""
    read = PeriodicTask.objects.filter(enabled=True).annotate(zone=Cast("crontab__timezone", CharField()))

    def report(name: str, error: Exception) -> None:
        raise AssertionError(name) from error

    with time_machine.travel(now, tick=False):
        built = [rows.build(row, None, report=report) for row in read.values(*rows.COLUMNS)]
    return {entry.name: None if entry.ran else entry.next for entry in built}


def listed(now: datetime) -> dict[str, datetime | None]:
    found = listing.schedules(now=now, using="default")
    return {each.entry.name: next(iter(each.next_runs), None) for each in found if each.entry.enabled}


def add(name: str, changed: datetime = NOW - 30 * MINUTE, **fields: Any) -> None:
    PeriodicTask.objects.create(name=name, task="app.add", **fields)
    PeriodicTask.objects.filter(name=name).update(date_changed=changed)


@pytest.mark.django_db
def test_what_is_listed_is_what_beat_waits_for() -> None:
    ten = IntervalSchedule.objects.create(every=10, period="minutes")
    night = CrontabSchedule.objects.create(minute="30", hour="2", timezone=ZoneInfo("Europe/Berlin"))
    sunset = SolarSchedule.objects.create(event="sunset", latitude="52.52", longitude="13.4")
    starts = {"": None, " later": NOW + 3 * HOUR, " soon": NOW + MINUTE, " past": NOW - 95 * MINUTE, " now": NOW}
    for kind, timing in {"interval": ten, "crontab": night, "solar": sunset}.items():
        for word, start in starts.items():
            for last in (None, NOW - 5 * MINUTE, NOW - 3 * DAY):
                for once in (False, True):
                    name = f"{kind}{word} {last} {once}"
                    add(name, start_time=start, last_run_at=last, one_off=once, **{kind: timing})
    for hours in (-1, 1):
        clocked = ClockedSchedule.objects.create(clocked_time=NOW + hours * HOUR)
        for word, start in starts.items():
            add(f"clocked {hours}{word}", start_time=start, clocked=clocked, one_off=True)
        add(f"clocked {hours} ran", clocked=clocked, one_off=True, total_run_count=1)
    add("once ran", interval=ten, one_off=True, total_run_count=1)
    found = listed(NOW)
    assert found == beats(NOW)
    assert len(found) == 3 * 5 * 3 * 2 + 2 * 6 + 1
    assert (found["once ran"], found["clocked 1 ran"]) == (None, None)


@pytest.mark.django_db
def test_an_interval_with_a_start_in_the_future_runs_first_at_its_start() -> None:
    ten = IntervalSchedule.objects.create(every=10, period="minutes")
    add("it", interval=ten, start_time=NOW + HOUR)
    add("ran", interval=ten, start_time=NOW + HOUR, last_run_at=NOW - MINUTE)
    assert listed(NOW) == beats(NOW) == {"it": NOW + HOUR, "ran": NOW + HOUR}


@pytest.mark.django_db
def test_the_runs_after_a_late_one_are_on_its_grid() -> None:
    add("it", interval=IntervalSchedule.objects.create(every=10, period="minutes"), last_run_at=NOW - 34 * MINUTE)
    (found,) = listing.schedules(now=NOW, using="default", count=3)
    assert found.next_runs == (NOW - 24 * MINUTE, NOW + 6 * MINUTE, NOW + 16 * MINUTE)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.django_db
def test_around_clock_changes_too(zone: str) -> None:
    chance = random.Random(f"listed {zone}")
    moments = CHANGES.get(zone, ORDINARY)
    for number in range(25):
        asked = some_crontab(chance, zone)
        fields = {name: str(getattr(asked, f"_orig_{name}")) for name in ("minute", "hour", "day_of_week")}
        row, _ = CrontabSchedule.objects.get_or_create(
            **fields, day_of_month=str(asked._orig_day_of_month), timezone=ZoneInfo(zone)
        )
        add(f"{number}", crontab=row, last_run_at=chance.choice(moments) + chance.randint(-90, 90) * MINUTE)
    for change in moments:
        for minutes in (-90, -35, 0, 25, 70):
            assert listed(change + minutes * MINUTE) == beats(change + minutes * MINUTE)


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="never rests"):
        upcoming.next_after(schedule(0), NOW)
