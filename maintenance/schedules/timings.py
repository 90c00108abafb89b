"""When a schedule runs: the kinds that django-celery-beat's tables hold, compared by meaning and not by spelling."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django_celery_beat import models, validators

from .. import units

# The interval's column is a 32-bit integer everywhere.
LARGEST_INTERVAL = 2**31 - 1
CRONTAB_FIELDS: Mapping[str, tuple[int, Callable[[str], None]]] = {
    "minute": (60, validators.minute_validator),
    "hour": (24, validators.hour_validator),
    "day_of_month": (31, validators.day_of_month_validator),
    "month_of_year": (12, validators.month_of_year_validator),
    "day_of_week": (7, validators.day_of_week_validator),
}
"""How many values each field of a crontab has, and the validator of its column."""


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

    @cached_property
    def meaning_text(self) -> str:
        fields = zip(self.meaning, CRONTAB_FIELDS.values(), strict=True)
        return " ".join(("crontab", *(numbers(found, size) for found, (size, _) in fields), self.zone))

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


def numbers(found: Collection[int], size: int) -> str:
    """Return a crontab's field in one spelling: ``*`` for all of ``size``."""
    return "*" if len(found) == size else ",".join(map(str, found))
