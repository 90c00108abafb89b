"""What the project declares: ``app.conf.beat_schedule`` as entries, with every error collected."""

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from celery import Celery
from celery.schedules import crontab

from .. import project
from ..conf import Schedule
from ..errors import ConfigurationError
from . import cleanup, sends, timings
from .cleanup import BACKEND_CLEANUP, PURGE
from .entries import Entry
from .sends import Refused

KEYS = ("task", "schedule", "args", "kwargs", "options", "relative")
_CLEANUP = {"task": BACKEND_CLEANUP, "schedule": crontab(**cleanup.DAILY), "options": cleanup.OPTIONS}


class NamelessZone(ConfigurationError):
    """Celery's time zone {zone!r} has no name that a table could hold."""

    hint = 'Set CELERY_TIMEZONE, such as "Europe/Berlin".'


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


class _Watched(dict[str, Any]):
    """A beat schedule that notes which names add_periodic_task gave to a second entry."""

    def __init__(self, entries: Mapping[str, Any]) -> None:
        super().__init__(entries)
        self.doubled: list[str] = []

    def __setitem__(self, name: str, entry: Any) -> None:
        if name in self and self[name] != entry:
            self.doubled.append(name)
        super().__setitem__(name, entry)


def read(app: Celery, *, extras: Mapping[str, Schedule]) -> Declaration:
    """Return what ``app`` declares in settings, app.conf and add_periodic_task. Imports its tasks, reads no table.

    ``extras`` are MAINTENANCE["SCHEDULES"].
    """
    conf: Any = app.conf
    if isinstance(conf.beat_schedule, dict) and not isinstance(conf.beat_schedule, _Watched):
        conf.beat_schedule = _Watched(conf.beat_schedule)
    project.discover(app)
    try:
        zone = ZoneInfo(str(app.timezone))
    except (KeyError, ValueError, OSError) as error:
        raise NamelessZone(zone=str(app.timezone)) from error
    entries = conf.beat_schedule
    if not isinstance(entries, Mapping):
        fault = Fault("beat_schedule", f"it is a {type(entries).__name__}", "Write a dict of entries by name.")
        return Declaration(errors=(fault,))
    doubled = getattr(entries, "doubled", ())
    if BACKEND_CLEANUP not in entries and _needs_cleanup(app, entries.values()):
        entries = {**entries, BACKEND_CLEANUP: _CLEANUP}
    declared = conf.task_queues or ()
    names = {str(getattr(queue, "name", queue)) for queue in declared} | {str(conf.task_default_queue)}
    queues = Queues(frozenset(names), strict=not conf.task_create_missing_queues)
    found = parse(entries, zone=zone, tasks=app.tasks, queues=queues, extras=extras)
    hidden = "two places add an entry of this name, and one hides the other"
    twice = tuple(Fault(str(name), hidden, "Rename one of them.") for name in dict.fromkeys(doubled))
    return replace(found, errors=(*found.errors, *twice))


def zones(declaration: Declaration) -> dict[str, str]:
    """Return the zone of each declared crontab by the entry's name."""
    timed = ((entry.name, entry.timing) for entry in declaration.entries)
    return {name: timing.zone for name, timing in timed if isinstance(timing, timings.Crontab)}


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
    entries, errors, warnings = [], [], []
    for name, given in beat_schedule.items():
        entry, faults, doubts = _entry(name, given, zone, tasks, queues, extras.get(name, Schedule()))
        entries += [entry] if entry else []
        errors += faults
        warnings += doubts
    for name in extras:
        if name not in beat_schedule:
            near = difflib.get_close_matches(name, [key for key in beat_schedule if isinstance(key, str)], n=1)
            cure = f"Did you mean {near[0]!r}?" if near else "Add the entry, or take the key away."
            errors.append(
                Fault(name, 'MAINTENANCE["SCHEDULES"] names it, but the beat schedule has no such entry', cure)
            )
    return Declaration(tuple(entries), tuple(errors), tuple(warnings))


def _needs_cleanup(app: Celery, entries: Iterable[Any]) -> bool:
    """Return whether Celery's own beat would delete old results, and no entry of the project does."""
    if not app.conf.result_expires or not app.conf.result_backend or app.backend.supports_autoexpire:
        return False
    return not any(isinstance(entry, Mapping) and entry.get("task") == PURGE for entry in entries)


def _entry(
    name: Any, given: Any, zone: ZoneInfo, tasks: Collection[str], queues: Queues | None, extra: Schedule
) -> tuple[Entry | None, list[Fault], list[Fault]]:
    label = name if isinstance(name, str) else repr(name)
    if not isinstance(given, Mapping):
        return None, [Fault(label, f"it is a {type(given).__name__}", "Write a dict with task and schedule.")], []
    values: dict[str, Any] = {}
    faults = []
    for column, reader in _readers(name, given, zone, extra).items():
        try:
            values[column] = reader()
        except (Refused, timings.UnusableTiming) as error:
            faults.append(Fault(label, *error.args))
    faults += [Fault(label, *why, kind="task") for why in _unknown_task(values.get("task"), tasks)]
    if not faults:
        faults += [Fault(label, *why) for why in _unbindable(values["task"], tasks, given)]
    doubts = [
        Fault(label, f"Celery knows no send option {key!r}", "It is sent as it is; check its spelling.")
        for key in (sends.unknown(given.get("options") or {}) if "others" in values else ())
    ]
    queue = values.get("queue")
    if queues and queue and queue not in queues.names:
        near = difflib.get_close_matches(queue, queues.names, n=1)
        cure = f"Did you mean {near[0]!r}?" if near else "Add it to CELERY_TASK_QUEUES."
        (faults if queues.strict else doubts).append(Fault(label, f"no queue {queue!r} is declared", cure))
    if faults:
        return None, list(dict.fromkeys(faults)), []
    values.pop("keys")
    values["one_off"] |= isinstance(values["timing"], timings.Clocked)
    return Entry(options=values.pop("others"), **values), [], doubts


def _readers(name: Any, given: Mapping[str, Any], zone: ZoneInfo, extra: Schedule) -> dict[str, Callable[[], Any]]:
    options = given.get("options")
    known: Mapping[str, Any] = options if isinstance(options, Mapping) else {}
    own_zone = ZoneInfo(extra.timezone) if extra.timezone else zone

    def timing() -> timings.Timing:
        return timings.of(given.get("schedule"), zone=own_zone.key, relative=bool(given.get("relative")))

    return {
        "name": lambda: sends.line(name, "its name", "name"),
        "task": lambda: sends.line(given.get("task"), "its task", "task"),
        "timing": timing,
        "args": lambda: sends.json_list(given.get("args"), "args"),
        "kwargs": lambda: sends.json_dict(given.get("kwargs"), "kwargs"),
        "keys": lambda: _only_known_keys(given),
        "others": lambda: sends.others(sends.checked(options)),
        "queue": lambda: sends.destination(known.get("queue"), "queue"),
        "exchange": lambda: sends.destination(known.get("exchange"), "exchange"),
        "routing_key": lambda: sends.destination(known.get("routing_key"), "routing_key"),
        "priority": lambda: sends.priority(known.get("priority")),
        "headers": lambda: sends.json_dict(known.get("headers"), "headers"),
        "expires": lambda: sends.expires_at(known, own_zone),
        "expire_seconds": lambda: sends.expires_after(known),
        "one_off": lambda: bool(extra.one_off),
        "enabled": lambda: extra.enabled is not False,
        "start_time": lambda: sends.moment(extra.start_time, own_zone) if extra.start_time else None,
        "description": lambda: extra.description,
        "misfire": lambda: extra.misfire or "once",
        "no_overlap": lambda: bool(extra.no_overlap),
        "ping": lambda: extra.ping or "",
    }


def _only_known_keys(given: Mapping[str, Any]) -> None:
    unknown = [key for key in given if key not in KEYS]
    if unknown:
        near = difflib.get_close_matches(str(unknown[0]), (*KEYS, *sorted(sends.KNOWN)), n=1)
        inside = "" if near and near[0] in KEYS else " inside options"
        cure = f"Did you mean {near[0]!r}{inside}?" if near else f"Known: {', '.join(KEYS)}."
        raise Refused(f"it has the unknown key {unknown[0]!r}", cure)


def _unknown_task(task: str | None, tasks: Collection[str]) -> list[tuple[str, str]]:
    if task is None or task in tasks:
        return []
    near = difflib.get_close_matches(task, list(tasks), n=1)
    cure = f"Did you mean {near[0]!r}?" if near else "Register it, or import its module in CELERY_IMPORTS."
    return [(f"no task is named {task!r}", cure)]


def _unbindable(task: str, tasks: Collection[str], given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return why the arguments do not fit the task's signature, as apply_async would find out."""
    bind = getattr(tasks[task], "__header__", None) if isinstance(tasks, Mapping) else None
    if bind is None or not tasks[task].typing:  # type: ignore[index]
        return []
    try:
        bind(*(given.get("args") or ()), **(given.get("kwargs") or {}))
    except TypeError as error:
        return [(f"its arguments do not fit the task ({error})", "Change args and kwargs, or the task's signature.")]
    return []
