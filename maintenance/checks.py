"""System checks: what `manage.py check` finds before anything runs.

E001 settings.MAINTENANCE · E002 a schedule entry · E003 a schedule's task name · E004 the Celery app or its tasks ·
W001 visibility_timeout · W002 CELERY_QUEUES · W003 a doubtful schedule entry ·
W004 crontabs in another zone than the settings' (with --database, and on migrate) ·
W005 nobody deletes old results, or two do (doctor tells who does).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from celery import Celery
from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register
from django.db.utils import DatabaseError

from . import conf, project, results, units
from .broker import visibility
from .errors import CeleryAppMissing, ConfigurationError
from .management.found import celery_app

PURGE = "maintenance.purge_results"
CLEANUP = "celery.backend_cleanup"


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
def visibility_outlasts_tasks(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """maintenance.W001: a Redis broker hands a task out again while it may still run."""
    app = _app()
    if app is None or not project.on_redis(app):
        return []
    timeout, (seconds, source) = visibility.timeout(app), visibility.longest(app)
    if timeout > seconds:
        return []
    return [
        Warning(
            f"The broker hands a task out again after {timeout:g}s (visibility_timeout), "
            f"but it may run for {seconds:g}s ({source}): it would run twice.",
            hint=f'Set CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"] = {int(seconds) + 600}.',
            id="maintenance.W001",
        )
    ]


@register("maintenance")
def queues_have_their_name(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """maintenance.W002: CELERY_QUEUES, Celery 3's name, which is ignored beside CELERY_TASK_QUEUES."""
    if not hasattr(settings, "CELERY_QUEUES"):
        return []
    ignored = " and is ignored beside it" if getattr(settings, "CELERY_TASK_QUEUES", None) else ""
    message = f"CELERY_QUEUES is the old name of CELERY_TASK_QUEUES{ignored}."
    return [Warning(message, hint="Rename CELERY_QUEUES to CELERY_TASK_QUEUES.", id="maintenance.W002")]


@register("maintenance")
def results_are_deleted_once(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """maintenance.W005: nobody deletes old results from django-celery-results' tables, or two do."""
    found = who_deletes_results()
    return [found] if isinstance(found, Warning) else []


def who_deletes_results() -> CheckMessage | None:
    """Return who deletes old results (Info), or why that is wrong (W005); None where they are not in tables."""
    app = _app()
    if app is None or not results.are_stored(app):
        return None
    tasks = {name: entry.get("task") for name, entry in app.conf.beat_schedule.items() if isinstance(entry, Mapping)}
    extras = conf.get().schedules
    resting = {name for name, extra in extras.items() if extra.enabled is False}
    ours = [name for name, task in tasks.items() if task == PURGE and name not in resting]
    theirs = [name for name, task in tasks.items() if task == CLEANUP and name not in resting]
    replaced = ours and str(app.conf.beat_scheduler).startswith("maintenance.beat")
    has_beat = bool(tasks) or apps.is_installed("django_celery_beat")
    if not theirs and not replaced and app.conf.result_expires and has_beat:
        theirs = ["beat's own daily entry"]
    if ours and theirs:
        message = f"Old results are deleted by {ours[0]!r} and by {CLEANUP} ({theirs[0]}), in one long transaction."
        hint = 'Set CELERY_BEAT_SCHEDULER = "maintenance.beat:Scheduler", and schedule only maintenance.purge_results.'
        return Warning(message, hint=hint, id="maintenance.W005")
    if not ours and not theirs:
        hint = "Schedule maintenance.purge_results (see maintenance.schedules.pack), or run it daily by other means."
        return Warning("Nobody deletes old results: their tables grow for ever.", hint=hint, id="maintenance.W005")
    who = f"the schedule {ours[0]!r}" if ours else f"{CLEANUP} ({theirs[0]}), in one long transaction"
    return Info(f"Old results are deleted by {who}.")


def _app() -> Celery | None:
    """Return the project's Celery app with its tasks, or None where another check tells why there is none."""
    try:
        app = celery_app().app
        return app if project.discover(app) else None
    except ConfigurationError:
        return None


def _error(error: ConfigurationError, id: str) -> Error:
    return Error(error.message, hint=error.cure or None, id=id)
