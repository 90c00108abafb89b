"""Whether the tables hold what is declared: what beat asks once at its start. Reads, and writes nothing."""

from collections.abc import Mapping

from celery import Celery
from django.db import Error

from .. import units
from ..conf import Schedule
from ..errors import MaintenanceError
from . import gather, sync


def warning(app: Celery, *, extras: Mapping[str, Schedule], using: str) -> str:
    """Return what an operator should know of the difference; nothing where there is none or nobody can tell now."""
    try:
        return difference(app, extras=extras, using=using)
    except Error:
        return ""  # the first tick tells of the database


def difference(app: Celery, *, extras: Mapping[str, Schedule], using: str) -> str:
    """Return what an operator should know of the difference; nothing where there is none. Raises DatabaseError."""
    try:
        seen = sync.look(gather.read(app, extras=extras), sync.Wishes(), using=using)
    except MaintenanceError as error:
        return f"The declared schedules cannot be read: {error}"
    errors = {fault.name for fault in seen.declaration.errors}
    if errors:
        return (
            f"{units.counted(len(errors), 'declared schedule')} cannot be used, {min(errors)!r} for one: "
            "the tables are used as they are. Run `manage.py sync_schedules --check`."
        )
    plan = seen.plan
    if not plan.pending:
        return ""
    changes = {"create": plan.create, "update": plan.update, "disable": plan.disable}
    counts = ", ".join(f"{len(found)} to {verb}" for verb, found in changes.items() if found)
    return f"The tables are not what is declared ({counts}). Run `manage.py sync_schedules`."
