"""What the tables hold: django-celery-beat's rows as entries, in a constant number of queries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from celery.schedules import ParseException, crontab
from django_celery_beat.models import SOLAR_SCHEDULES, PeriodicTask

from ..models import ManagedSchedule
from . import timings
from .entries import Entry, canonical, recanonical
from .moments import aware
from .timings import CRONTAB_FIELDS, MODELS, Clocked, Interval, Solar, Timing, Unreadable

RETIRED = ""
"""The fingerprint of a managed schedule that we disabled because it had left the settings."""

_PLAIN = ("name", "task", "priority", "expire_seconds", "one_off", "enabled", "description")
_JSON = {"args": "[]", "kwargs": "{}", "headers": "{}"}
_TEXT_OR_NONE = ("queue", "exchange", "routing_key")
_MOMENTS = ("expires", "start_time")
MADE = "schedule_made"
"""The key in ManagedSchedule.applied that names the interval or crontab that we made for it, and may remove."""


@dataclass(frozen=True)
class Record:
    """What we remember of a schedule of ours: the fields as we last applied them, and what its table cannot hold."""

    fingerprint: str
    applied: Mapping[str, Any] = field(default_factory=dict)
    made: str = field(default="", compare=False)
    """The interval or crontab that we made for it, as ``interval:7``."""

    @property
    def retired(self) -> bool:
        """Whether we disabled it because it had left the settings."""
        return self.fingerprint == RETIRED


@dataclass(frozen=True)
class Row:
    """A periodic task as found."""

    pk: int
    entry: Entry

    @property
    def enabled(self) -> bool:
        return self.entry.enabled


@dataclass(frozen=True)
class Stored:
    """The tables at one moment: rows by name, schedule rows by meaning, what is ours by name."""

    rows: Mapping[str, Row] = field(default_factory=dict)
    timings: Mapping[Timing, int] = field(default_factory=dict)
    owned: Mapping[str, Record] = field(default_factory=dict)


def read(*, using: str) -> Stored:
    """Return everything that sync_schedules compares with: six queries at any size."""
    by_key = {kind: _timings(kind, using) for kind in MODELS}
    found = {(kind, pk): timing for kind, rows in by_key.items() for pk, timing in rows.items()}
    keys = {kind: f"{kind}_id" for kind in MODELS}
    owned, extras = _managed(using)
    rows = {}
    columns = ("pk", *_PLAIN, *_JSON, *_TEXT_OR_NONE, *_MOMENTS, *keys.values())
    for values in PeriodicTask.objects.using(using).values(*columns).order_by("pk").iterator(chunk_size=2000):
        chosen = next(((kind, values[key]) for kind, key in keys.items() if values[key] is not None), None)
        timing = (found.get(chosen) if chosen else None) or Unreadable("row without a schedule")
        name = values["name"]
        rows[name] = Row(values["pk"], _entry(values, timing, extras.get(name, {})))
    return Stored(rows, keys_of(found), owned)


def _managed(using: str) -> tuple[dict[str, Record], dict[str, dict[str, Any]]]:
    owned, extras = {}, {}
    for row in ManagedSchedule.objects.using(using).iterator(chunk_size=2000):
        applied = dict(row.applied) if isinstance(row.applied, dict) else {}
        owned[row.name] = Record(row.fingerprint, made=str(applied.pop(MADE, "")), applied=applied)
        extras[row.name] = {
            "options": canonical(row.options),
            "misfire": row.misfire,
            "no_overlap": row.no_overlap,
            "ping": row.ping,
        }
    return owned, extras


def misplaced(zones: Mapping[str, str], *, using: str) -> list[str]:
    """Return the crontabs of ours that are in another zone than in ``zones``, and that nobody moved by hand."""
    owned = dict(ManagedSchedule.objects.using(using).values_list("name", "applied"))
    crontabs = PeriodicTask.objects.using(using).filter(crontab__isnull=False).order_by("name")
    return [
        name
        for name, zone in crontabs.values_list("name", "crontab__timezone")
        if name in owned and str(zone) != zones.get(name, str(zone))
        if str((owned[name] or {}).get("schedule", zone)).endswith(str(zone))
    ]


def timings_of(kinds: set[str], *, using: str) -> dict[Timing, int]:
    """Return the schedule rows of ``kinds`` by meaning: one query a kind."""
    return keys_of({(kind, pk): timing for kind in kinds for pk, timing in _timings(kind, using).items()})


def keys_of(found: Mapping[tuple[str, int], Timing]) -> dict[Timing, int]:
    """Return {timing: key}; of several rows with one meaning the oldest."""
    return {timing: pk for (_, pk), timing in sorted(found.items(), key=lambda item: item[0], reverse=True)}


def _entry(values: Mapping[str, Any], timing: Timing, extras: Mapping[str, Any]) -> Entry:
    columns: dict[str, Any] = {name: values[name] for name in _PLAIN}
    columns |= {name: recanonical(values[name], empty=empty) for name, empty in _JSON.items()}
    columns |= {name: values[name] or None for name in _TEXT_OR_NONE}
    columns |= {name: aware(values[name]) for name in _MOMENTS}
    return Entry(timing=timing, **columns, **extras)


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
    if row["event"] not in dict(SOLAR_SCHEDULES) or abs(row["latitude"]) > 90 or abs(row["longitude"]) > 180:
        return Unreadable(f"solar {row['event']} at {row['latitude']}, {row['longitude']}")
    return Solar(row["event"], timings.degrees(row["latitude"]), timings.degrees(row["longitude"]))


def _clocked(row: Mapping[str, Any]) -> Timing:
    at = aware(row["clocked_time"])
    return Clocked(at) if at else Unreadable("clocked without a time")


_READERS = {"interval": _interval, "crontab": _crontab, "solar": _solar, "clocked": _clocked}
