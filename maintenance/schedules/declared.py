"""Declared entries as values: each is read or refused, and every fault is collected with its cure."""

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from ..conf import Schedule
from . import options, spellings, values
from .cleanup import PURGE
from .entries import Entry
from .timings import Clocked
from .values import Refused

KEYS = ("task", "schedule", "args", "kwargs", "options", "relative")
_KNOWN_KEYS = frozenset(KEYS)
Why = tuple[str, str]
"""A problem and its cure."""


@dataclass(frozen=True)
class Fault:
    """Why a declared entry cannot be used, or what of it is doubtful, and the cure."""

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

    @property
    def replaces_cleanup(self) -> bool:
        """Whether results are purged by an entry, so that Celery's own need not run."""
        return any(entry.task == PURGE and entry.enabled for entry in self.entries)

    def only(self, names: Collection[str]) -> "Declaration":
        """Return the same with the errors and warnings of ``names`` only, when there are any."""
        errors, warnings = ([f for f in each if not names or f.name in names] for each in (self.errors, self.warnings))
        return Declaration(self.entries, tuple(errors), tuple(warnings))


@dataclass(frozen=True)
class Queues:
    """The queues that the project declares, and whether an undeclared one is refused."""

    names: frozenset[str]
    strict: bool


def parse(
    beat_schedule: Mapping[str, Any],
    *,
    zone: ZoneInfo,
    tasks: Collection[str],
    queues: Queues | None = None,
    extras: Mapping[str, Schedule] | None = None,
) -> Declaration:
    """Return each entry or its faults. Crontabs and naive times are in ``zone`` unless the entry's extras name another.

    ``tasks`` are the registered names, or the tasks by name: then the arguments must bind to their signatures.
    """
    extras = extras or {}
    reader = _Reader(zone, tasks, queues)
    for name, given in beat_schedule.items():
        reader.read(name, given, extras.get(name))
    for name in extras:
        if name not in beat_schedule:
            problem = 'MAINTENANCE["SCHEDULES"] names it, but the beat schedule has no such entry'
            cure = _meant(name, [key for key in beat_schedule if isinstance(key, str)])
            reader.errors.append(Fault(name, problem, cure or "Add the entry, or take the key away."))
    return Declaration(tuple(reader.entries), tuple(reader.errors), tuple(reader.warnings))


@dataclass
class _Reader:
    """Reads entries one after the other into ``entries``, ``errors`` and ``warnings``."""

    zone: ZoneInfo
    tasks: Collection[str]
    queues: Queues | None
    entries: list[Entry] = field(default_factory=list)
    errors: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    _options: dict[Any, options.Options] = field(default_factory=dict)

    def read(self, name: Any, given: Any, extra: Schedule | None) -> None:
        label = name if isinstance(name, str) else repr(name)
        if not isinstance(given, Mapping):
            what = f"it is a {type(given).__name__}"
            self.errors.append(Fault(label, what, "Write a dict with task and schedule."))
            return
        zone = ZoneInfo(extra.timezone) if extra and extra.timezone else self.zone
        found, faults = _columns(name, given, zone)
        sent = self._sent(given.get("options"), zone)
        errors = [Fault(label, *why) for why in (*faults, *sent.faults)]
        if (task := found.get("task")) and task not in self.tasks:
            errors.append(Fault(label, *self._unknown_task(task), kind="task"))
        if not errors and (unbound := self._unbindable(found["task"], given)):
            errors.append(Fault(label, *unbound))
        doubts = [Fault(label, *why) for why in sent.doubts]
        if self.queues and (queue := sent.values.get("queue")) and queue not in self.queues.names:
            (errors if self.queues.strict else doubts).append(Fault(label, *self._undeclared(queue, self.queues)))
        if errors:
            self.errors += dict.fromkeys(errors)
            return
        extras = _extras(extra, zone) if extra else {}
        if isinstance(found["timing"], Clocked):
            extras["one_off"] = True
        self.entries.append(Entry(**found, **sent.values, **extras))
        self.warnings += doubts

    def _sent(self, given: Any, zone: ZoneInfo) -> options.Options:
        """Return what the options say; equal plain ones are read once."""
        key = options.plain_key(given)
        if key is None:
            return options.read(given, zone)
        if key not in self._options:
            self._options[key] = options.read(given, zone)
        return self._options[key]

    def _unknown_task(self, task: str) -> Why:
        cure = _meant(task, self.tasks) or "Register it, or import its module in CELERY_IMPORTS."
        return f"no task is named {task!r}", cure

    def _undeclared(self, queue: str, queues: Queues) -> Why:
        return f"no queue {queue!r} is declared", _meant(queue, queues.names) or "Add it to CELERY_TASK_QUEUES."

    def _unbindable(self, task: str, given: Mapping[str, Any]) -> Why | None:
        """Return why the arguments do not fit the task's signature, as apply_async would find out."""
        known: Any = self.tasks[task] if isinstance(self.tasks, Mapping) else None
        bind = getattr(known, "__header__", None)
        if bind is None or not known.typing:
            return None
        try:
            bind(*(given.get("args") or ()), **(given.get("kwargs") or {}))
        except TypeError as error:
            cure = "Change args and kwargs, or the task's signature."
            return f"its arguments do not fit the task ({error})", cure
        return None


def _columns(name: Any, given: Mapping[str, Any], zone: ZoneInfo) -> tuple[dict[str, Any], list[Why]]:
    """Return what an entry says besides its options, and the faults of the rest."""
    found, faults = {}, []
    for column, read in _READERS.items():
        try:
            found[column] = read(name, given, zone)
        except (Refused, spellings.UnusableTiming) as error:
            faults.append((error.args[0], error.args[1]))
    return found, faults if _KNOWN_KEYS.issuperset(given) else [*faults, *_unknown_keys(given)]


_READERS: Mapping[str, Callable[[Any, Mapping[str, Any], ZoneInfo], Any]] = {
    "name": lambda name, given, zone: values.line(name, "its name", "name"),
    "task": lambda name, given, zone: values.line(given.get("task"), "its task", "task"),
    "timing": lambda name, given, zone: spellings.of(
        given.get("schedule"), zone=zone.key, relative=bool(given.get("relative"))
    ),
    "args": lambda name, given, zone: values.json_list(given.get("args"), "args"),
    "kwargs": lambda name, given, zone: values.json_dict(given.get("kwargs"), "kwargs"),
}


def _extras(extra: Schedule, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "one_off": bool(extra.one_off),
        "enabled": extra.enabled is not False,
        "start_time": values.moment(extra.start_time, zone) if extra.start_time else None,
        "description": extra.description or None,
        "misfire": extra.misfire or "once",
        "no_overlap": bool(extra.no_overlap),
        "ping": extra.ping or "",
    }


def _unknown_keys(given: Mapping[str, Any]) -> list[Why]:
    unknown = next((key for key in given if key not in KEYS), None)
    if unknown is None:
        return []
    near = difflib.get_close_matches(str(unknown), (*KEYS, *sorted(options.KNOWN)), n=1)
    inside = "" if near and near[0] in KEYS else " inside options"
    cure = f"Did you mean {near[0]!r}{inside}?" if near else f"Known: {', '.join(KEYS)}."
    return [(f"it has the unknown key {unknown!r}", cure)]


def _meant(word: str, among: Collection[str]) -> str:
    near = difflib.get_close_matches(word, list(among), n=1)
    return f"Did you mean {near[0]!r}?" if near else ""
