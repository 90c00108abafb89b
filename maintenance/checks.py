"""System checks: what `manage.py check` finds before anything runs.

E001 settings.MAINTENANCE · E002 a schedule entry · E003 a schedule's task name · E004 the Celery app or its tasks ·
W001 visibility_timeout · W002 CELERY_QUEUES · W003 a doubtful schedule entry ·
W004 crontabs in another zone than the settings' (with --database, and on migrate) ·
W005 nobody deletes old results, or two do. W001, W002 and W005 are rules of doctor's, which has more of them.
"""

from collections.abc import Sequence
from typing import Any

from celery import Celery
from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db.utils import DatabaseError

from . import conf, project, units
from .errors import CeleryAppMissing, ConfigurationError
from .management.found import celery_app


@register("maintenance")
def settings_are_known(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """maintenance.E001: a key or value in settings.MAINTENANCE is wrong."""
    try:
        conf.get()
    except ConfigurationError as error:
        return [Error(error.message, hint=error.cure or None, id="maintenance.E001")]
    return []


@register("maintenance")
def celery_app_can_be_imported(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """maintenance.E004: there is a Celery app, but it or its tasks cannot be imported."""
    try:
        project.discover(celery_app().app)
    except CeleryAppMissing as error:
        # A project without any Celery app may use the commands that need none.
        return [_error(error, "maintenance.E004")] if error.__cause__ else []
    except project.TasksNotImportable as error:
        return [_error(error, "maintenance.E004")]
    except ConfigurationError:
        pass  # E001 tells
    return []


@register("maintenance")
def schedules_can_be_used(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """maintenance.E002, E003, W003: an entry of the beat schedule that cannot be used, or is doubtful."""
    app = _app()
    if app is None or not apps.is_installed("django_celery_beat"):
        return []
    from .schedules import gather

    try:
        found = gather.read(app, extras=conf.get().schedules)
    except ConfigurationError as error:
        return [_error(error, "maintenance.E002")]
    ids = {"entry": "maintenance.E002", "task": "maintenance.E003"}
    return [
        *(Error(f"Schedule {fault.name}: {fault.problem}.", fault.cure, id=ids[fault.kind]) for fault in found.errors),
        *(
            Warning(f"Schedule {loss.name}: {loss.problem}.", loss.cure, id="maintenance.W003")
            for loss in found.warnings
        ),
    ]


@register("maintenance", Tags.database)
def schedules_are_in_their_zone(
    app_configs: Sequence[Any] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """maintenance.W004: CELERY_TIMEZONE differs from the zone of crontabs that sync_schedules wrote."""
    app = _app() if databases else None
    if app is None or not apps.is_installed("django_celery_beat"):
        return []
    from .schedules import gather, stored

    found: list[CheckMessage] = []
    for alias in databases or ():
        try:
            zones = gather.zones(gather.read(app, extras=conf.get().schedules))
            moved = stored.misplaced(zones, using=alias)
        except (ConfigurationError, DatabaseError):
            continue  # E001 or E002 tells; or the tables are not there yet
        if moved:
            count = units.counted(len(moved), "schedule is", "schedules are")
            message = f"{count} in another time zone than the settings', {moved[0]!r} for one."
            hint = "Stop beat, run `manage.py reset_schedules`, start beat."
            found.append(Warning(message, hint=hint, id="maintenance.W004"))
    return found


@register("maintenance")
def settings_do_not_bite(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """maintenance.W001, W002, W005: what doctor's rules of the same name find."""
    app = _app()
    if app is None:
        return []
    from .health import rules  # workers and web processes never need them

    facts = rules.Facts(app=app, settings=settings, ours=conf.get())
    told = [each for each in rules.RULES.values() if each.check]
    return [
        Warning(f"{trouble.fact} {each.consequence}", hint=trouble.cure, id=each.check)
        for each in told
        for trouble in rules.ask(each, facts).troubles
    ]


def _app() -> Celery | None:
    """Return the project's Celery app with its tasks, or None where another check tells why there is none."""
    try:
        app = celery_app().app
        return app if project.discover(app) else None
    except ConfigurationError:
        return None


def _error(error: ConfigurationError, id: str) -> Error:
    return Error(error.message, hint=error.cure or None, id=id)
