"""What the project declares: ``app.conf.beat_schedule`` as entries, with every error collected."""

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from celery import Celery
from django_celery_beat.models import PeriodicTask

from .. import project
from ..errors import ConfigurationError
from . import timings
from .entries import Entry, canonical, is_one_off

KEYS = ("task", "schedule", "args", "kwargs", "options", "relative")
OPTIONS = ("queue", "exchange", "routing_key", "priority", "headers", "expires", "expire_seconds")
_LARGEST_SECONDS = 2**31 - 1


class NamelessZone(ConfigurationError):
    """Celery's time zone {zone!r} has no name that a table could hold."""

    hint = 'Set CELERY_TIMEZONE, such as "Europe/Berlin".'


@dataclass(frozen=True)
class Fault:
    """Why a declared entry cannot be used, or what of it will be lost, and the cure."""

    name: str
    problem: str
    cure: str
    kind: str = "entry"
    """``entry``, or ``task`` for a task that nobody registered."""

    def __str__(self) -> str:
        return f"{self.name}: {self.problem}. {self.cure}".strip()


@dataclass(frozen=True)
class Declaration:
    """The entries that can be used, the faults of those that cannot, and warnings."""

    entries: tuple[Entry, ...] = ()
    errors: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = field(default=())


class _Refused(Exception):
    """The first argument is the problem, the second the cure."""


def read(app: Celery) -> Declaration:
    """Return what ``app`` declares in settings, app.conf and add_periodic_task. Imports its tasks, reads no table."""
    project.discover(app)
    try:
        zone = ZoneInfo(str(app.timezone))
    except (KeyError, ValueError, OSError) as error:
        raise NamelessZone(zone=str(app.timezone)) from error
    return parse(app.conf.beat_schedule, zone=zone, tasks=frozenset(app.tasks))


def parse(beat_schedule: Mapping[str, Any], *, zone: ZoneInfo, tasks: Collection[str]) -> Declaration:
    """Return each entry or its faults. ``tasks`` are the registered names; crontabs and naive times are in ``zone``."""
    entries, errors, warnings = [], [], []
    for name, given in beat_schedule.items():
        entry, faults, losses = _entry(name, given, zone, tasks)
        entries += [entry] if entry else []
        errors += faults
        warnings += losses
    return Declaration(tuple(entries), tuple(errors), tuple(warnings))


def _entry(
    name: Any, given: Any, zone: ZoneInfo, tasks: Collection[str]
) -> tuple[Entry | None, list[Fault], list[Fault]]:
    label = name if isinstance(name, str) else repr(name)
    if not isinstance(given, Mapping):
        return None, [Fault(label, f"it is a {type(given).__name__}", "Write a dict with task and schedule.")], []
    values: dict[str, Any] = {}
    faults = []
    for column, reader in _readers(name, given, zone).items():
        try:
            values[column] = reader()
        except (_Refused, timings.UnusableTiming) as error:
            faults.append(Fault(label, *error.args))
    task = values.get("task")
    if task is not None and task not in tasks:
        near = difflib.get_close_matches(task, tasks, n=1)
        cure = f"Did you mean {near[0]!r}?" if near else "Register it, or import its module in CELERY_IMPORTS."
        faults.append(Fault(label, f"no task is named {task!r}", cure, kind="task"))
    if faults:
        return None, faults, []
    values.pop("keys")
    lost = [
        Fault(label, f"beat will not send its option {key!r}", "The tables have no column for it.")
        for key in values.pop("options")
    ]
    return Entry(**values, one_off=is_one_off(values["timing"])), [], lost


def _readers(name: Any, given: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Callable[[], Any]]:
    options = given.get("options")
    known: Mapping[str, Any] = options if isinstance(options, Mapping) else {}
    return {
        "name": lambda: _line(name, "its name", _longest("name")),
        "task": lambda: _line(given.get("task"), "its task", _longest("task")),
        "timing": lambda: timings.of(given.get("schedule"), zone=zone.key),
        "args": lambda: _json(given.get("args"), "args", "a list or tuple", (list, tuple), []),
        "kwargs": lambda: _json(given.get("kwargs"), "kwargs", "a dict", (Mapping,), {}),
        "keys": lambda: _only_known_keys(given),
        "options": lambda: _unkept(options),
        **{
            key: lambda key=key: _destination(known.get(key), key)  # type: ignore[misc]
            for key in ("queue", "exchange", "routing_key")
        },
        "priority": lambda: _priority(known.get("priority")),
        "headers": lambda: _json(known.get("headers"), "headers", "a dict", (Mapping,), {}),
        "expires": lambda: _expires_at(known.get("expires"), zone),
        "expire_seconds": lambda: _expires_after(known),
    }


def _line(value: Any, what: str, longest: int) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _Refused(f"{what} is {value!r}", "Write a name.")
    if len(value) > longest:
        raise _Refused(f"{what} has {len(value)} characters", f"The table holds {longest}: shorten it.")
    return value


def _longest(column: str) -> int:
    return PeriodicTask._meta.get_field(column).max_length or 0


def _json(value: Any, what: str, expected: str, types: tuple[type, ...], empty: object) -> str:
    if value is None:
        return canonical(empty)
    if not isinstance(value, types):
        raise _Refused(f"its {what} are a {type(value).__name__}", f"Write {expected}.")
    if isinstance(value, Mapping) and not all(isinstance(key, str) for key in value):
        raise _Refused(f"its {what} have a key that is no text", "Write every key as text.")
    try:
        return canonical(list(value) if isinstance(value, tuple) else value)
    except (TypeError, ValueError) as error:
        raise _Refused(f"its {what} are not JSON ({error})", "Pass ids and plain values.") from error


def _only_known_keys(given: Mapping[str, Any]) -> None:
    unknown = [key for key in given if key not in KEYS]
    if unknown:
        near = difflib.get_close_matches(str(unknown[0]), KEYS + OPTIONS, n=1)
        inside = " inside options" if near and near[0] in OPTIONS else ""
        cure = f"Did you mean {near[0]!r}{inside}?" if near else f"Known: {', '.join(KEYS)}."
        raise _Refused(f"it has the unknown key {unknown[0]!r}", cure)
    if given.get("relative"):
        raise _Refused("its interval is relative, which the tables cannot hold", "Write a crontab.")


def _unkept(options: Any) -> list[str]:
    if options is None:
        return []
    if not isinstance(options, Mapping):
        raise _Refused(f"its options are a {type(options).__name__}", "Write a dict.")
    return [str(key) for key in options if key not in OPTIONS]


def _destination(value: Any, key: str) -> str | None:
    if value is None:
        return None
    return _line(getattr(value, "name", value), f"its {key}", _longest(key))


def _priority(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 255:
        raise _Refused(f"its priority is {value!r}", "Write a whole number from 0 to 255.")
    return value


def _expires_at(value: Any, zone: tzinfo) -> datetime | None:
    if not isinstance(value, datetime):
        return None
    return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)


def _expires_after(options: Mapping[str, Any]) -> int | None:
    value = options.get("expires", options.get("expire_seconds"))
    if value is None or isinstance(value, datetime):
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 1 <= seconds <= _LARGEST_SECONDS:
        raise _Refused(f"its expires is {value!r}", "Write seconds from 1 up, a timedelta or a datetime.")
    if seconds != int(seconds):
        raise _Refused(f"its expires is {value!r}", "The table holds whole seconds: round it.")
    return int(seconds)
