"""Due times and misfire decisions: arithmetic without a clock."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import schedule, solar
from django_celery_beat.clockedschedule import clocked
from django_celery_beat.tzcrontab import TzAwareCrontab

from maintenance import misfire
from maintenance.beat import due
from maintenance.beat.due import Decision, Overdue
from maintenance.schedules import upcoming

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
TICK = timedelta(microseconds=1)


def crontab(zone: str = "UTC", **fields: str) -> Any:
    return TzAwareCrontab(**fields, tz=ZoneInfo(zone))


def test_an_interval_goes_on_from_the_due_time_before() -> None:
    assert upcoming.next_after(schedule(10), NOON) == NOON + 10 * SECOND


@pytest.mark.parametrize(
    ("now", "count"), [(NOON + 10 * SECOND - TICK, 0), (NOON + 10 * SECOND, 1), (NOON + 39 * SECOND, 3)]
)
def test_an_intervals_due_times_lie_on_its_grid(now: datetime, count: int) -> None:
    latest = tuple(NOON + 10 * n * SECOND for n in range(1, count + 1))
    assert due.until(schedule(10), after=NOON, now=now, keep=5) == Overdue(latest, count)


def test_only_the_latest_are_kept_and_all_are_counted() -> None:
    found = due.until(schedule(1), after=NOON, now=NOON + 24 * HOUR, keep=2)
    assert found == Overdue((NOON + 24 * HOUR - SECOND, NOON + 24 * HOUR), 86400)
    daily = due.until(crontab(minute="0", hour="7"), after=NOON, now=NOON + 5 * 24 * HOUR, keep=2)
    assert daily == Overdue((NOON + 91 * HOUR, NOON + 115 * HOUR), 5)


def test_a_crontab_of_many_missed_minutes_is_not_walked_to_its_end() -> None:
    found = due.until(crontab(), after=NOON, now=NOON + 365 * 24 * HOUR, keep=1)
    assert found.latest == (NOON + 365 * 24 * HOUR,)
    assert due.MOST_STEPS <= found.count < 3 * due.MOST_STEPS


@pytest.mark.parametrize("seconds", [0, 1, 59])
def test_a_crontab_is_due_on_the_minute(seconds: int) -> None:
    assert upcoming.next_after(crontab(), NOON + seconds * SECOND) == NOON + MINUTE


@pytest.mark.parametrize(
    ("zone", "offset"),
    [("America/New_York", -5), ("Europe/Berlin", 1), ("Asia/Kolkata", 5.5), ("Australia/Eucla", 8.75)],
)
def test_a_crontab_is_in_its_own_zone(zone: str, offset: float) -> None:
    found = upcoming.next_after(crontab(zone, minute="30", hour="7"), datetime(2026, 1, 10, tzinfo=UTC) - offset * HOUR)
    assert found == datetime(2026, 1, 10, 7, 30, tzinfo=UTC) - offset * HOUR


def test_due_times_grow_over_both_transitions() -> None:
    for start in (datetime(2026, 3, 8, 3, tzinfo=UTC), datetime(2026, 11, 1, 2, tzinfo=UTC)):
        for fields in ({"minute": "*/20"}, {"minute": "30", "hour": "1,2,3"}, {"minute": "0", "hour": "2"}):
            at = start
            for _ in range(40):
                following = upcoming.next_after(crontab("America/New_York", **fields), at)
                assert following is not None
                assert following > at
                at = following


def test_a_clocked_moment_is_due_once() -> None:
    once = clocked(NOON)
    assert upcoming.next_after(once, NOON - TICK) == NOON
    assert upcoming.next_after(once, NOON) is None


def test_the_sun_rises_once_a_day() -> None:
    sunrise = solar("sunrise", 52.5, 13.4)
    first = upcoming.next_after(sunrise, NOON)
    assert first is not None
    second = upcoming.next_after(sunrise, first)
    assert second is not None
    assert 23 * HOUR < second - first < 25 * HOUR


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="never rests"):
        upcoming.next_after(schedule(0), NOON)


THREE = Overdue((NOON - 20 * SECOND, NOON - 10 * SECOND, NOON), 5)


@pytest.mark.parametrize(
    ("policy", "late", "decision"),
    [
        ("once", HOUR, Decision((NOON,), 4)),
        ("all", HOUR, Decision(THREE.latest, 2)),
        ("all:2", HOUR, Decision(THREE.latest[1:], 3)),
        ("within:60", MINUTE, Decision((NOON,), 4)),
        ("within:60", MINUTE + TICK, Decision((), 5)),
        ("skip", 5 * SECOND, Decision((NOON,), 4)),
        ("skip", 5 * SECOND + TICK, Decision((), 5)),
    ],
)
def test_decisions(policy: str, late: timedelta, decision: Decision) -> None:
    given = due.decide(THREE, policy=misfire.parse(policy), now=NOON + late, late_after=5 * SECOND, most=3)
    assert given == decision


def test_a_due_time_has_one_task_id_in_every_zone() -> None:
    berlin = NOON.astimezone(ZoneInfo("Europe/Berlin"))
    assert due.task_id("a", NOON) == due.task_id("a", berlin)
    assert len({due.task_id(name, at) for name in "ab" for at in (NOON, NOON + TICK)}) == 4
