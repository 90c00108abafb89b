"""The schedule rows of django-celery-beat's tables as timings; one that cannot be read is a timing that says so."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from celery.schedules import ParseException
from django_celery_beat.models import SOLAR_SCHEDULES

from . import spellings
from .moments import aware
from .timings import CRONTAB_FIELDS, MODELS, Clocked, Interval, Solar, Timing, Unreadable


def by_key(kind: str, *, using: str, keys: Collection[int] | None = None) -> dict[int, Timing]:
    """Return the schedule rows of a kind (of ``keys`` only, where they are given) by their keys: one query."""
    rows = MODELS[kind].objects.using(using).values().order_by("pk")
    if keys is not None:
        rows = rows.filter(pk__in=keys)
    return {row["id"]: _READERS[kind](row) for row in rows}


def timings_of(kinds: set[str], *, using: str) -> dict[Timing, int]:
    """Return the schedule rows of ``kinds`` by meaning: one query a kind."""
    return keys_of({(kind, pk): timing for kind in kinds for pk, timing in by_key(kind, using=using).items()})


def keys_of(found: Mapping[tuple[str, int], Timing]) -> dict[Timing, int]:
    """Return {timing: key}; of several rows with one meaning the oldest."""
    return {timing: pk for (_, pk), timing in sorted(found.items(), key=lambda item: item[0], reverse=True)}


def _interval(row: Mapping[str, Any]) -> Timing:
    try:
        length = timedelta(**{row["period"]: row["every"]})
    except (TypeError, OverflowError):
        return Unreadable(f"interval {row['every']} {row['period']}")
    return Interval(length // timedelta(microseconds=1))


def _crontab(row: Mapping[str, Any]) -> Timing:
    try:
        return spellings.from_texts(*(row[name] for name in CRONTAB_FIELDS), zone=str(row["timezone"]))
    except (ParseException, ValueError, TypeError):
        return Unreadable("crontab " + " ".join(row[name] for name in CRONTAB_FIELDS))


def _solar(row: Mapping[str, Any]) -> Timing:
    if row["event"] not in dict(SOLAR_SCHEDULES) or abs(row["latitude"]) > 90 or abs(row["longitude"]) > 180:
        return Unreadable(f"solar {row['event']} at {row['latitude']}, {row['longitude']}")
    return Solar(row["event"], spellings.degrees(row["latitude"]), spellings.degrees(row["longitude"]))


def _clocked(row: Mapping[str, Any]) -> Timing:
    at = aware(row["clocked_time"])
    return Clocked(at) if at else Unreadable("clocked without a time")


_READERS = {"interval": _interval, "crontab": _crontab, "solar": _solar, "clocked": _clocked}
