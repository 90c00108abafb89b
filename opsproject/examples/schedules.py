"""The guide's schedules as data: its three kinds, and its seventeen crontabs with what each one really means."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from celery.schedules import crontab

KINDS: dict[str, dict[str, Any]] = {
    "a number of seconds": {
        "task": "opsproject.examples.tasks.add",
        "schedule": 30.0,
        "args": (16, 16),
        "options": {"expires": 30},
    },
    "a timedelta": {
        "task": "opsproject.examples.tasks.multiply",
        "schedule": timedelta(minutes=10),
        "args": (6, 7),
        "options": {"expires": 600},
    },
    "a crontab": {
        "task": "opsproject.examples.tasks.crunch",
        "schedule": crontab(hour=7, minute=30, day_of_week=1),
        "args": (1_000_000,),
        "options": {"expires": 3600},
    },
}
"""Entries as CELERY_BEAT_SCHEDULE takes them. Intervals count from beat's last run, crontabs from the clock."""


@dataclass(frozen=True)
class Example:
    """A crontab as it is written, and when it fires."""

    written: str
    schedule: crontab
    meaning: str


CRONTABS = (
    Example("crontab()", crontab(), "Every minute."),
    Example("crontab(minute=0, hour=0)", crontab(minute=0, hour=0), "Every day at midnight."),
    Example(
        "crontab(minute=0, hour='*/3')",
        crontab(minute=0, hour="*/3"),
        "Every three hours: 0:00, 3:00, 6:00 … 21:00.",
    ),
    Example(
        "crontab(minute=0, hour='0,3,6,9,12,15,18,21')",
        crontab(minute=0, hour="0,3,6,9,12,15,18,21"),
        "The same, written out.",
    ),
    Example("crontab(minute='*/15')", crontab(minute="*/15"), "At 0, 15, 30 and 45 minutes past every hour."),
    Example(
        "crontab(day_of_week='sunday')",
        crontab(day_of_week="sunday"),
        "Every minute of a Sunday: 1440 times, not once.",
    ),
    Example(
        "crontab(minute='*', hour='*', day_of_week='sun')",
        crontab(minute="*", hour="*", day_of_week="sun"),
        "The same, written out.",
    ),
    Example(
        "crontab(minute='*/10', hour='3,17,22', day_of_week='thu,fri')",
        crontab(minute="*/10", hour="3,17,22", day_of_week="thu,fri"),
        "On Thursdays and Fridays every ten minutes from 3:00 to 3:50, 17:00 to 17:50 and 22:00 to 22:50.",
    ),
    Example(
        "crontab(minute=0, hour='*/2,*/3')",
        crontab(minute=0, hour="*/2,*/3"),
        "Every even hour and every hour divisible by three: all but 1, 5, 7, 11, 13, 17, 19 and 23.",
    ),
    Example(
        "crontab(minute=0, hour='*/5')",
        crontab(minute=0, hour="*/5"),
        "Hours divisible by five: 0:00, 5:00, 10:00, 15:00 and 20:00, so the last gap is four hours.",
    ),
    Example(
        "crontab(minute=0, hour='*/3,8-17')",
        crontab(minute=0, hour="*/3,8-17"),
        "Every hour divisible by three, and every hour from 8:00 to 17:00, its end included.",
    ),
    Example(
        "crontab(0, 0, day_of_month='2')",
        crontab(0, 0, day_of_month="2"),
        "At midnight on the second day of every month.",
    ),
    Example(
        "crontab(0, 0, day_of_month='2-30/2')",
        crontab(0, 0, day_of_month="2-30/2"),
        "At midnight on every even day of the month; two or three days lie between the last one and the next 2nd.",
    ),
    Example(
        "crontab(0, 0, day_of_month='1-7,15-21')",
        crontab(0, 0, day_of_month="1-7,15-21"),
        "At midnight on the days 1 to 7 and 15 to 21, on whatever weekday they fall: no calendar weeks.",
    ),
    Example(
        "crontab(0, 0, day_of_month='11', month_of_year='5')",
        crontab(0, 0, day_of_month="11", month_of_year="5"),
        "At midnight on 11 May of every year.",
    ),
    Example(
        "crontab(0, 0, month_of_year='*/3')",
        crontab(0, 0, month_of_year="*/3"),
        "At midnight on every day of January, April, July and October.",
    ),
    Example(
        "crontab(hour=7, minute=30, day_of_week=1)",
        crontab(hour=7, minute=30, day_of_week=1),
        "Every Monday at 7:30.",
    ),
)
