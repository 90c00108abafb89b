"""What the tables hold: django-celery-beat's rows as entries, in a constant number of queries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from celery.schedules import ParseException, crontab
from django.utils.timezone import is_naive, make_aware
from django_celery_beat.models import PeriodicTask

from ..models import ManagedSchedule
from . import timings
from .entries import Entry, recanonical
from .timings import CRONTAB_FIELDS, MODELS, Clocked, Interval, Solar, Timing, Unreadable

RETIRED = ""
"""The fingerprint of a managed schedule that we disabled because it had left the settings."""

_PLAIN = ("name", "task", "queue", "exchange", "routing_key", "priority", "expires", "expire_seconds", "one_off")


@dataclass(frozen=True)
class Row:
    """A periodic task as found."""

    pk: int
    entry: Entry
    enabled: bool


@dataclass(frozen=True)
class Stored:
    """The tables at one moment: rows by name, schedule rows by meaning, fingerprints of what is ours by name."""

    rows: Mapping[str, Row] = field(default_factory=dict)
    timings: Mapping[Timing, int] = field(default_factory=dict)
    owned: Mapping[str, str] = field(default_factory=dict)


def read(*, using: str) -> Stored:
    """Return everything that sync_schedules compares with: six queries at any size."""
    by_key = {kind: _timings(kind, using) for kind in MODELS}
    found = {(kind, pk): timing for kind, rows in by_key.items() for pk, timing in rows.items()}
    keys = {kind: f"{kind}_id" for kind in MODELS}
    columns = ("pk", "enabled", "args", "kwargs", "headers", *_PLAIN, *keys.values())
    rows = {}
    for values in PeriodicTask.objects.using(using).values(*columns).order_by("pk"):
        chosen = next(((kind, values[key]) for kind, key in keys.items() if values[key] is not None), None)
        timing = found[chosen] if chosen else Unreadable("row without a schedule")
        rows[values["name"]] = Row(values["pk"], _entry(values, timing), values["enabled"])
    owned = dict(ManagedSchedule.objects.using(using).values_list("name", "fingerprint"))
    return Stored(rows, keys_of(found), owned)


def timings_of(kinds: set[str], *, using: str) -> dict[Timing, int]:
    """Return the schedule rows of ``kinds`` by meaning: one query a kind."""
    return keys_of({(kind, pk): timing for kind in kinds for pk, timing in _timings(kind, using).items()})


def keys_of(found: Mapping[tuple[str, int], Timing]) -> dict[Timing, int]:
    """Return {timing: key}; of several rows with one meaning the oldest."""
    return {timing: pk for (_, pk), timing in sorted(found.items(), key=lambda item: item[0], reverse=True)}


def _entry(values: Mapping[str, Any], timing: Timing) -> Entry:
    return Entry(
        name=values["name"],
        task=values["task"],
        timing=timing,
        args=recanonical(values["args"], empty="[]"),
        kwargs=recanonical(values["kwargs"], empty="{}"),
        queue=values["queue"] or None,
        exchange=values["exchange"] or None,
        routing_key=values["routing_key"] or None,
        priority=values["priority"],
        headers=recanonical(values["headers"], empty="{}"),
        expires=_aware(values["expires"]),
        expire_seconds=values["expire_seconds"],
        one_off=values["one_off"],
    )


def _timings(kind: str, using: str) -> dict[int, Timing]:
    rows = MODELS[kind].objects.using(using).values().order_by("pk")
    return {row["id"]: _READERS[kind](row) for row in rows}


def _interval(row: Mapping[str, Any]) -> Timing:
    try:
        length = timedelta(**{row["period"]: row["every"]})
    except (TypeError, OverflowError):
        return Unreadable(f"interval {row['every']} {row['period']}")
    return Interval(length // timedelta(microseconds=1))


def _crontab(row: Mapping[str, Any]) -> Timing:
    try:
        return timings.from_crontab(crontab(**{name: row[name] for name in CRONTAB_FIELDS}), zone=str(row["timezone"]))
    except (ParseException, ValueError, TypeError):
        return Unreadable("crontab " + " ".join(row[name] for name in CRONTAB_FIELDS))


def _solar(row: Mapping[str, Any]) -> Timing:
    return Solar(row["event"], timings.degrees(row["latitude"]), timings.degrees(row["longitude"]))


def _clocked(row: Mapping[str, Any]) -> Timing:
    at = _aware(row["clocked_time"])
    return Clocked(at) if at else Unreadable("clocked without a time")


def _aware(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    return (make_aware(value) if is_naive(value) else value).astimezone(UTC)


_READERS = {"interval": _interval, "crontab": _crontab, "solar": _solar, "clocked": _clocked}
