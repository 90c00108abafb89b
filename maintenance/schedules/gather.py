"""Where a project declares its schedules: settings, app.conf and add_periodic_task, all in its Celery app."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from celery import Celery
from celery.schedules import crontab

from .. import project
from ..conf import Schedule
from ..errors import ConfigurationError
from . import added, cleanup
from .cleanup import BACKEND_CLEANUP, PURGE
from .declared import Declaration, Fault, Queues, parse
from .timings import Crontab

_CLEANUP = {"task": BACKEND_CLEANUP, "schedule": crontab(**cleanup.DAILY), "options": cleanup.OPTIONS}


class NamelessZone(ConfigurationError):
    """Celery's time zone {zone!r} has no name that a table could hold."""

    hint = 'Set CELERY_TIMEZONE, such as "Europe/Berlin".'


def read(app: Celery, *, extras: Mapping[str, Schedule]) -> Declaration:
    """Return what ``app`` declares, with every fault. Imports its tasks, reads no table, writes nothing.

    ``extras`` are MAINTENANCE["SCHEDULES"]. Raises ConfigurationError.
    """
    project.discover(app)
    conf: Any = app.conf
    try:
        zone = ZoneInfo(str(app.timezone))
    except (KeyError, ValueError, OSError) as error:
        raise NamelessZone(zone=str(app.timezone)) from error
    entries = conf.beat_schedule
    if not isinstance(entries, Mapping):
        fault = Fault("beat_schedule", f"it is a {type(entries).__name__}", "Write a dict of entries by name.")
        return Declaration(errors=(fault,))
    if BACKEND_CLEANUP not in entries and _needs_cleanup(app, entries.values()):
        entries = {**entries, BACKEND_CLEANUP: _CLEANUP}
    found = parse(entries, zone=zone, tasks=app.tasks, queues=_queues(conf), extras=extras)
    hidden = "two places add an entry of this name, and one hides the other"
    twice = tuple(Fault(name, hidden, "Rename one of them.") for name in added.twice(app))
    return replace(found, errors=(*found.errors, *twice))


def zones(declaration: Declaration) -> dict[str, str]:
    """Return the zone of each declared crontab by the entry's name."""
    timed = ((entry.name, entry.timing) for entry in declaration.entries)
    return {name: timing.zone for name, timing in timed if isinstance(timing, Crontab)}


def _queues(conf: Any) -> Queues:
    declared = conf.task_queues or ()
    names = {str(getattr(queue, "name", queue)) for queue in declared} | {str(conf.task_default_queue)}
    return Queues(frozenset(names), strict=not conf.task_create_missing_queues)


def _needs_cleanup(app: Celery, entries: Iterable[Any]) -> bool:
    """Return whether Celery's own beat would delete old results, and no entry of the project does."""
    if not app.conf.result_expires or not app.conf.result_backend or app.backend.supports_autoexpire:
        return False
    return not any(isinstance(entry, Mapping) and entry.get("task") == PURGE for entry in entries)
