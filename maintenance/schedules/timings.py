"""When a schedule runs: the kinds that django-celery-beat's tables hold, compared by meaning and not by spelling."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from celery.schedules import ParseException, crontab, schedule, solar
from django.core.exceptions import ValidationError
from django_celery_beat import models, validators
from django_celery_beat.clockedschedule import clocked
from django_celery_beat.tzcrontab import TzAwareCrontab

from .. import units

# The interval's column is a 32-bit integer everywhere.
LARGEST_INTERVAL = 2**31 - 1
CRONTAB_FIELDS: Mapping[str, tuple[int, int, Callable[[str], None]]] = {
    "minute": (0, 60, validators.minute_validator),
    "hour": (0, 24, validators.hour_validator),
    "day_of_month": (1, 31, validators.day_of_month_validator),
    "month_of_year": (1, 12, validators.month_of_year_validator),
    "day_of_week": (0, 7, validators.day_of_week_validator),
}
USABLE = 'Write seconds, a timedelta, crontab(), solar(), clocked(), cron text ("30 7 * * 1", "@daily") or "every 5m".'
NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_DEGREES = Decimal("0.000001")


class UnusableTiming(ValueError):
    """A schedule that the tables cannot hold. The first argument is the problem, the second the cure."""


@dataclass(frozen=True)
class Interval:
    """Every so many microseconds."""

    kind: ClassVar[str] = "interval"
    microseconds: int

    @property
    def meaning_text(self) -> str:
        """The meaning in one spelling, equal for equal timings: what is remembered as last applied."""
        return f"interval {self.microseconds}us"

    @property
    def columns(self) -> dict[str, Any]:
        """The row, spelt the way DatabaseScheduler spells it where it can: in seconds."""
        seconds, rest = divmod(self.microseconds, 10**6)
        if not rest and seconds <= LARGEST_INTERVAL:
            return {"every": seconds, "period": models.SECONDS}
        if not rest and seconds % 86400 == 0:
            return {"every": seconds // 86400, "period": models.DAYS}
        return {"every": self.microseconds, "period": models.MICROSECONDS}

    def __str__(self) -> str:
        exact = timedelta(microseconds=self.microseconds)
        short = units.human_duration(exact)
        if not self.microseconds % 10**6 and units.duration(short) == exact:
            return f"every {short}"
        return f"every {self.microseconds / 10**6:f}".rstrip("0").rstrip(".") + "s"


@dataclass(frozen=True)
class Crontab:
    """At the minutes, hours, days and months of ``meaning``, in a zone. ``texts`` is one way to write it."""

    kind: ClassVar[str] = "crontab"
    meaning: tuple[tuple[int, ...], ...]
    zone: str
    texts: tuple[str, ...] = field(compare=False)

    @property
    def meaning_text(self) -> str:
        fields = zip(self.meaning, CRONTAB_FIELDS.values(), strict=True)
        return " ".join(("crontab", *(_numbers(numbers, low, size) for numbers, (low, size, _) in fields), self.zone))

    @property
    def columns(self) -> dict[str, Any]:
        return {**dict(zip(CRONTAB_FIELDS, self.texts, strict=True)), "timezone": ZoneInfo(self.zone)}

    def __str__(self) -> str:
        return f"crontab {' '.join(self.texts)} {self.zone}"


@dataclass(frozen=True)
class Solar:
    """At an event of the sun, at a place."""

    kind: ClassVar[str] = "solar"
    event: str
    latitude: Decimal
    longitude: Decimal

    @property
    def meaning_text(self) -> str:
        return f"solar {self}"

    @property
    def columns(self) -> dict[str, Any]:
        return {"event": self.event, "latitude": self.latitude, "longitude": self.longitude}

    def __str__(self) -> str:
        return f"{self.event} at {self.latitude}, {self.longitude}"


@dataclass(frozen=True)
class Clocked:
    """Once, at a moment (UTC)."""

    kind: ClassVar[str] = "clocked"
    at: datetime

    @property
    def meaning_text(self) -> str:
        return f"clocked {self.at.isoformat()}"

    @property
    def columns(self) -> dict[str, Any]:
        return {"clocked_time": self.at}

    def __str__(self) -> str:
        return f"once at {self.at.isoformat()}"


@dataclass(frozen=True)
class Unreadable:
    """A row that Celery cannot read: equal to no declared schedule."""

    kind: ClassVar[str] = "unreadable"
    text: str

    @property
    def meaning_text(self) -> str:
        return str(self)

    @property
    def columns(self) -> dict[str, Any]:
        return {}

    def __str__(self) -> str:
        return f"unreadable {self.text}"


Timing = Interval | Crontab | Solar | Clocked | Unreadable
MODELS: Mapping[str, Any] = {
    "interval": models.IntervalSchedule,
    "crontab": models.CrontabSchedule,
    "solar": models.SolarSchedule,
    "clocked": models.ClockedSchedule,
}


def of(value: Any, *, zone: str, relative: bool = False) -> Timing:
    """Return a beat entry's schedule as a timing; crontabs are in ``zone``. Raises UnusableTiming.

    Only the exact classes are taken: a subclass may behave in a way that no table can hold.
    """
    if isinstance(value, str):
        value = _written(value)
    if isinstance(value, int | float | timedelta) and not isinstance(value, bool):
        return _relative(_interval(value), zone) if relative else _interval(value)
    if type(value) is schedule:
        interval: Any = value  # its stub knows no attributes
        found = _interval(interval.run_every)
        return _relative(found, zone) if interval.relative or relative else found
    if type(value) is TzAwareCrontab:
        return from_crontab(value, zone=str(value.tz))
    if type(value) is crontab:
        return from_crontab(value, zone=zone)
    if type(value) is solar:
        return Solar(value.event, degrees(value.lat), degrees(value.lon))
    if type(value) is clocked:
        return Clocked(value.clocked_time.astimezone(UTC))
    raise UnusableTiming(f"its schedule is a {type(value).__name__}", USABLE)


def from_crontab(value: Any, *, zone: str) -> Crontab:
    """Return Celery's ``crontab`` in ``zone``. Lists, sets and names that the table refuses are written as numbers."""
    meaning = tuple(tuple(sorted(getattr(value, name))) for name in CRONTAB_FIELDS)
    texts = tuple(
        _text(getattr(value, f"_orig_{name}"), numbers, name)
        for name, numbers in zip(CRONTAB_FIELDS, meaning, strict=True)
    )
    return Crontab(meaning, zone, texts)


def degrees(value: object) -> Decimal:
    """Return a latitude or longitude as the column holds it: six decimals."""
    return Decimal(str(value)).quantize(_DEGREES)


def _written(text: str) -> timedelta | crontab:
    words = NICKNAMES.get(text.strip().lower(), text).split()
    if len(words) == 2 and words[0].lower() == "every":
        try:
            return units.duration(words[1])
        except ValueError as error:
            raise UnusableTiming(f"its schedule is {text!r}", 'Write a duration such as "every 5m".') from error
    if len(words) != 5:
        raise UnusableTiming(f"its schedule is {text!r}", USABLE)
    minute, hour, day, month, weekday = words
    if "*" not in (day[0], weekday[0]):
        raise UnusableTiming(
            f"its schedule {text!r} restricts both the day of the month and the day of the week",
            "cron would run it on either, Celery only on both: write crontab() if you mean both, else two entries.",
        )
    weekday = re.sub(r"(?<![/\d])7(?!\d)", "0", weekday) if "-7" not in weekday else weekday.replace("-7", "-6,0")
    try:
        return crontab(minute, hour, weekday, day, month)
    except (ParseException, ValueError, KeyError, IndexError) as error:
        problem = " ".join(str(error).split())
        raise UnusableTiming(f"its schedule {text!r} cannot be read ({problem.rstrip('.')})", USABLE) from error


def _relative(found: Interval, zone: str) -> Timing:
    """Return what Celery does with a relative interval: it falls on round minutes, hours or days."""
    minutes, rest = divmod(found.microseconds, 60 * 10**6)
    if not minutes:
        return found
    if not rest and minutes < 60 and 60 % minutes == 0:
        return from_crontab(crontab(minute=f"*/{minutes}"), zone=zone)
    if not rest and minutes % 60 == 0 and minutes <= 1440 and 1440 % minutes == 0:
        return from_crontab(crontab(minute=0, hour=f"*/{minutes // 60}" if minutes < 1440 else 0), zone=zone)
    raise UnusableTiming(
        f"its interval of {str(found)[6:]} is relative, which the tables cannot hold", "Write a crontab."
    )


def _interval(value: float | timedelta) -> Interval:
    try:
        exact = value if isinstance(value, timedelta) else timedelta(seconds=value)
    except (OverflowError, ValueError) as error:
        raise UnusableTiming(f"its interval {value!r} is no length of time", "Write seconds or a timedelta.") from error
    if exact <= timedelta(0) and not 0 < (value if not isinstance(value, timedelta) else 0) < 1e-6:
        raise UnusableTiming(
            f"its interval {value!r} is not longer than 0", "Write a positive number of seconds: it would never rest."
        )
    if not isinstance(value, timedelta) and Decimal(repr(value)) * 10**6 % 1:
        raise UnusableTiming(f"its interval {value!r} is finer than a microsecond", "Round it: 0.333333, say.")
    found = Interval(exact // timedelta(microseconds=1))
    if found.columns["every"] > LARGEST_INTERVAL:
        raise UnusableTiming(
            f"its interval of {exact} does not fit the table", "Write whole seconds, or whole days beyond 68 years."
        )
    return found


def _numbers(numbers: Collection[int], low: int, size: int) -> str:
    return "*" if len(numbers) == size else ",".join(map(str, numbers))


def _text(written: object, numbers: Collection[int], name: str) -> str:
    if isinstance(written, int | str) and _accepted(str(written), name):
        return str(written)
    low, size, _ = CRONTAB_FIELDS[name]
    return _numbers(numbers, low, size)


@lru_cache(maxsize=4096)
def _accepted(text: str, name: str) -> bool:
    """Return whether the column and the model's own validator take a field's text."""
    validate = CRONTAB_FIELDS[name][2]
    if " " in text or len(text) > (models.CrontabSchedule._meta.get_field(name).max_length or 0):
        return False
    try:
        validate(text)
    except ValidationError:
        return False
    return True
