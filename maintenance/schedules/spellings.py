"""The ways to write a schedule in settings (numbers, Celery's objects, cron text), read as timings or refused."""

import re
from collections.abc import Collection
from datetime import UTC, timedelta
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Any

from celery.schedules import ParseException, crontab, schedule, solar
from django.core.exceptions import ValidationError
from django_celery_beat import models
from django_celery_beat.clockedschedule import clocked
from django_celery_beat.tzcrontab import TzAwareCrontab

from .. import units
from .timings import CRONTAB_FIELDS, LARGEST_INTERVAL, Clocked, Crontab, Interval, Solar, Timing, numbers

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
_TEXTS = frozenset({int, str})
_fields = attrgetter(*(f"_orig_{name}" for name in CRONTAB_FIELDS))
_known: dict[tuple[str, ...], Crontab] = {}
_KNOWN_MOST = 20_000


class UnusableTiming(ValueError):
    """A schedule that the tables cannot hold. The first argument is the problem, the second the cure."""


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
    fields = _fields(value)
    if not _TEXTS.issuperset(map(type, fields)):
        return _crontab(value, zone)
    key = (*map(str, fields), zone)
    return _known.get(key) or _remembered(key, value)


def from_texts(*fields: str, zone: str) -> Crontab:
    """Return a crontab by its ``fields`` in the order of CRONTAB_FIELDS. Raises ParseException, ValueError."""
    key = (*fields, zone)
    if key not in _known:
        named: dict[str, Any] = dict(zip(CRONTAB_FIELDS, fields, strict=True))
        _remembered(key, crontab(**named))
    return _known[key]


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


@lru_cache(maxsize=20_000, typed=True)
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


def _remembered(key: tuple[str, ...], value: Any) -> Crontab:
    """Read a crontab, and keep it: the tables mostly hold the texts that the settings have, and parsing is slow."""
    if len(_known) >= _KNOWN_MOST:
        _known.clear()
    _known[key] = _crontab(value, key[-1])
    return _known[key]


def _crontab(value: Any, zone: str) -> Crontab:
    meaning = tuple(tuple(sorted(getattr(value, name))) for name in CRONTAB_FIELDS)
    texts = tuple(
        _text(getattr(value, f"_orig_{name}"), found, name) for name, found in zip(CRONTAB_FIELDS, meaning, strict=True)
    )
    return Crontab(meaning, zone, texts)


def _text(written: object, found: Collection[int], name: str) -> str:
    if isinstance(written, int | str) and _accepted(str(written), name):
        return str(written)
    return numbers(found, CRONTAB_FIELDS[name][0])


@lru_cache(maxsize=4096)
def _accepted(text: str, name: str) -> bool:
    """Return whether the column and the model's own validator take a field's text."""
    validate = CRONTAB_FIELDS[name][1]
    if " " in text or len(text) > (models.CrontabSchedule._meta.get_field(name).max_length or 0):
        return False
    try:
        validate(text)
    except ValidationError:
        return False
    return True
