"""What the tables hold: django-celery-beat's rows as entries, in a constant number of queries."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from django.db.models import Q
from django_celery_beat.models import PeriodicTask

from ..models import ManagedSchedule
from .entries import EXTRAS, MARKED, OPTIONAL, Entry, canonical, recanonical
from .moments import aware
from .timing_rows import by_key, keys_of
from .timings import MODELS, Timing, Unreadable

Values = tuple[Any, ...]
Given = TypeVar("Given")
Value = TypeVar("Value", covariant=True)

RETIRED = ""
"""The fingerprint of a managed schedule that we disabled because it had left the settings."""

DONE = "done"
"""The fingerprint of a managed schedule that beat disabled: it ran once, or expired."""

Mark = tuple[str, datetime | None, str, tuple[object, ...]]
"""What is remembered and stored of a schedule: fingerprint, the row's start_time and description, Entry.mark."""

_OWN = tuple(name for name in MARKED if name not in EXTRAS and "." not in name)
_JSON = {"args": "[]", "kwargs": "{}", "headers": "{}"}
_TEXT_OR_NONE = ("queue", "exchange", "routing_key", "description")
_NONE = Unreadable("row without a schedule")
_COLUMNS = ("name", "pk", *OPTIONAL, *_OWN, *(f"{kind}_id" for kind in MODELS))
_FIRST = 2 + len(OPTIONAL)
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

    @property
    def done(self) -> bool:
        """Whether beat disabled it, because it had run once or had expired."""
        return self.fingerprint == DONE


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
    marks: Mapping[str, Mark] = field(default_factory=dict)
    """Of those that are ours, for a quick look: most schedules are as they were."""


class Lazily(Mapping[str, Value]):
    """A mapping whose values are made each time when they are asked for: most never are, and few are kept."""

    def __init__(self, given: Mapping[str, Given], make: Callable[[str, Given], Value]) -> None:
        self._given, self._make = given, make

    def __getitem__(self, name: str) -> Value:
        return self._make(name, self._given[name])

    def __contains__(self, name: object) -> bool:
        return name in self._given

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)


def read(*, using: str, names: Collection[str] | None = None) -> Stored:
    """Return everything that sync_schedules compares with: six queries at any size, seven where something differs.

    With ``names`` return only those schedules.
    """
    wanted = Q() if names is None else Q(name__in=names)
    kept = ManagedSchedule.objects.using(using).filter(wanted)
    managed = {row[0]: row for row in kept.values_list("name", "fingerprint", *EXTRAS)}
    tasks = PeriodicTask.objects.using(using).filter(wanted)
    raw = {row[0]: row for row in tasks.values_list(*_COLUMNS).order_by("pk")}
    timings = {
        kind: by_key(kind, using=using, keys=None if names is None else {row[column] for row in raw.values()} - {None})
        for column, kind in enumerate(MODELS, start=-len(MODELS))
    }

    def timing_of(row: Values) -> Timing:
        for kind, key in zip(MODELS, row[-len(MODELS) :], strict=True):
            if key is not None:
                return timings[kind].get(key, _NONE)
        return _NONE

    def mark(name: str, record: Values) -> Mark:
        row, (fingerprint, options, *others) = raw[name], record[1:]
        own, kept = row[_FIRST : -len(MODELS)], canonical(options) if options else "{}"
        return fingerprint, row[2], row[3], (*own, timing_of(row).meaning_text, kept, *others)

    rows = Lazily(raw, lambda name, row: Row(row[1], _entry(row, timing_of(row), managed.get(name))))
    marks = Lazily({name: record for name, record in managed.items() if name in raw}, mark)
    found = {(kind, pk): timing for kind, by_pk in timings.items() for pk, timing in by_pk.items()}
    return Stored(rows, keys_of(found), _owned(managed, using), marks)


def _owned(managed: Mapping[str, Values], using: str) -> Mapping[str, Record]:
    """Return the records; what was applied is read, in one query, when the first is asked for."""
    applied: dict[str, Any] = {}

    def record(name: str, found: Values) -> Record:
        if not applied:
            applied.update(ManagedSchedule.objects.using(using).values_list("name", "applied"))
        given = applied.get(name)
        facts = dict(given) if isinstance(given, dict) else {}
        return Record(found[1], made=str(facts.pop(MADE, "")), applied=facts)

    return Lazily(managed, record)


def mark_done(names: Any, *, using: str) -> None:
    """Note that beat disabled the schedules of ``names`` (a list or a query), so that sync takes it for no edit."""
    ManagedSchedule.objects.using(using).filter(name__in=names).update(fingerprint=DONE)


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


def _entry(row: Values, timing: Timing, managed: Values | None) -> Entry:
    columns: dict[str, Any] = dict(zip(_COLUMNS[: -len(MODELS)], row[: -len(MODELS)], strict=True))
    del columns["pk"]
    columns |= {name: recanonical(columns[name], empty=empty) for name, empty in _JSON.items()}
    columns |= {name: columns[name] or None for name in _TEXT_OR_NONE}
    columns |= {name: aware(columns[name]) for name in ("expires", "start_time")}
    if managed:
        columns |= dict(zip(EXTRAS, managed[2:], strict=True))
        columns["options"] = canonical(columns["options"] or {})
    return Entry(timing=timing, **columns)
