"""When a schedule runs: meanings, spellings, and what the tables cannot hold."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab, schedule, solar
from django_celery_beat.clockedschedule import clocked
from django_celery_beat.models import CrontabSchedule
from django_celery_beat.tzcrontab import TzAwareCrontab

from maintenance.schedules import spellings
from maintenance.schedules.spellings import UnusableTiming
from maintenance.schedules.timings import CRONTAB_FIELDS, Clocked, Interval, Solar


def crontab_texts(**given: Any) -> tuple[str, ...]:
    return spellings.from_crontab(crontab(**given), zone="UTC").texts


@pytest.mark.parametrize(
    ("value", "columns", "words"),
    [
        (30.0, {"every": 30, "period": "seconds"}, "every 30s"),
        (300, {"every": 300, "period": "seconds"}, "every 5m"),
        (timedelta(days=7), {"every": 604800, "period": "seconds"}, "every 7d"),
        (timedelta(days=1, seconds=61), {"every": 86461, "period": "seconds"}, "every 86461s"),
        (schedule(timedelta(hours=1)), {"every": 3600, "period": "seconds"}, "every 1h"),
        (0.5, {"every": 500000, "period": "microseconds"}, "every 0.5s"),
        (0.000001, {"every": 1, "period": "microseconds"}, "every 0.000001s"),
        (2**31 - 1, {"every": 2**31 - 1, "period": "seconds"}, "every 2147483647s"),
        (86400 * 25_000, {"every": 25_000, "period": "days"}, "every 25000d"),
    ],
)
def test_an_interval_is_written_in_whole_numbers(value: Any, columns: dict[str, Any], words: str) -> None:
    found = spellings.of(value, zone="UTC")
    assert isinstance(found, Interval)
    assert (found.columns, str(found)) == (columns, words)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (0, "its interval 0 is not longer than 0"),
        (-5, "its interval -5 is not longer than 0"),
        (0.0000001, "its interval 1e-07 is finer than a microsecond"),
        (1.0000005, "its interval 1.0000005 is finer than a microsecond"),
        (timedelta(0), "its interval datetime.timedelta(0) is not longer than 0"),
        (float("nan"), "its interval nan is no length of time"),
        (1e300, "its interval 1e+300 is no length of time"),
        (2**31, "its interval of 24855 days, 3:14:08 does not fit the table"),
        (3000.5, "its interval of 0:50:00.500000 does not fit the table"),
        (schedule(420, relative=True), "its interval of 7m is relative, which the tables cannot hold"),
        (schedule(172800, relative=True), "its interval of 2d is relative, which the tables cannot hold"),
        (None, "its schedule is a NoneType"),
        (True, "its schedule is a bool"),
        ("5 * * *", "its schedule is '5 * * *'"),
        ("@reboot", "its schedule is '@reboot'"),
        ("every day", "its schedule is 'every day'"),
        ("every 0s", "its interval datetime.timedelta(0) is not longer than 0"),
        ("0 0 1 * 1", "its schedule '0 0 1 * 1' restricts both the day of the month and the day of the week"),
        ("60 * * * *", "its schedule '60 * * * *' cannot be read (Invalid end range: 60 > 59)"),
        (
            "0 0 31 2 *",
            "its schedule '0 0 31 2 *' cannot be read "
            "(Invalid crontab: day_of_month '31' never occurs in month_of_year '2')",
        ),
        (type("Lunar", (crontab,), {})(), "its schedule is a Lunar"),
    ],
)
def test_what_no_table_can_hold_is_refused(value: Any, problem: str) -> None:
    with pytest.raises(UnusableTiming) as refused:
        spellings.of(value, zone="UTC")
    assert refused.value.args[0] == problem


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ({}, ("*", "*", "*", "*", "*")),
        ({"minute": 0, "hour": "*/3"}, ("0", "*/3", "*", "*", "*")),
        ({"minute": [30, 0], "hour": {8, 17}}, ("0,30", "8,17", "*", "*", "*")),
        ({"minute": "4, 16"}, ("4,16", "*", "*", "*", "*")),
        ({"day_of_week": "sunday"}, ("*", "*", "*", "*", "0")),
        ({"day_of_week": "monday-friday"}, ("*", "*", "*", "*", "1,2,3,4,5")),
        ({"day_of_week": "thu,fri"}, ("*", "*", "*", "*", "thu,fri")),
        ({"hour": "22-2"}, ("*", "0,1,2,22,23", "*", "*", "*")),
        ({"minute": list(range(60))}, ("*", "*", "*", "*", "*")),
    ],
)
def test_a_crontab_is_written_the_way_the_table_takes_it(given: dict[str, Any], texts: tuple[str, ...]) -> None:
    assert crontab_texts(**given) == texts


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("30 7 * * 1", "crontab 30 7 * * 1 Europe/Berlin"),
        ("@daily", "crontab 0 0 * * * Europe/Berlin"),
        (" @Weekly ", "crontab 0 0 * * 0 Europe/Berlin"),
        ("*/5 8-17 * * mon-fri", "crontab */5 8-17 * * mon-fri Europe/Berlin"),
        ("0 0 * * 7", "crontab 0 0 * * 0 Europe/Berlin"),
        ("0 0 * * 5-7", "crontab 0 0 * * 5-6,0 Europe/Berlin"),
        ("0 0 1 jan *", "crontab 0 0 1 jan * Europe/Berlin"),
        ("every 5m", "every 5m"),
        ("every 1h30m", "every 1h30m"),
    ],
)
def test_cron_text_and_words_are_read(text: str, words: str) -> None:
    assert str(spellings.of(text, zone="Europe/Berlin")) == words


def test_two_spellings_of_one_meaning_are_equal_and_zones_differ() -> None:
    hours = spellings.of(crontab(minute=0, hour="*/12"), zone="UTC")
    assert hours == spellings.of(crontab(minute="0", hour="0,12"), zone="UTC")
    assert hash(hours) == hash(spellings.of(crontab(minute="0", hour=[0, 12]), zone="UTC"))
    assert hours != spellings.of(crontab(minute=0, hour="*/12"), zone="Europe/Berlin")
    assert str(hours) == "crontab 0 */12 * * * UTC"


def test_whatever_is_written_means_the_same_and_passes_the_models_own_checks() -> None:
    chance = random.Random(17)
    for _ in range(150):
        given: dict[str, Any] = {}
        for name, (size, _validate) in CRONTAB_FIELDS.items():
            low = 1 if name in ("day_of_month", "month_of_year") else 0
            numbers = sorted(chance.sample(range(low, low + size), chance.randint(1, size)))
            written = ["*", f"*/{chance.randint(1, size - 1)}", numbers, set(numbers), ",".join(map(str, numbers))]
            given[name] = chance.choice(written)
        try:
            asked = crontab(**given)
        except ValueError:  # a date that never comes
            continue
        found = spellings.from_crontab(asked, zone="UTC")
        texts = dict(zip(CRONTAB_FIELDS, found.texts, strict=True))
        assert spellings.from_crontab(crontab(**texts), zone="UTC") == found
        CrontabSchedule(**texts, timezone=ZoneInfo("UTC")).full_clean()


def test_a_crontab_with_its_own_zone_keeps_it() -> None:
    found = spellings.of(TzAwareCrontab(minute="5", tz=ZoneInfo("Asia/Tokyo")), zone="UTC")
    assert str(found) == "crontab 5 * * * * Asia/Tokyo"


def test_sun_and_clock_are_held_too() -> None:
    assert spellings.of(solar("sunset", 52.52, 13.405), zone="UTC") == Solar(
        "sunset", spellings.degrees("52.520000"), spellings.degrees("13.405")
    )
    moment = datetime(2030, 1, 2, 3, 4, tzinfo=ZoneInfo("Europe/Berlin"))
    assert spellings.of(clocked(moment), zone="UTC") == Clocked(datetime(2030, 1, 2, 2, 4, tzinfo=UTC))
