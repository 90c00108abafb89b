"""Task results: which are deleted, and when. The one home of django-celery-results."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from celery import Celery
from celery.states import READY_STATES
from django.apps import apps
from django.db.models import Max, QuerySet

from . import batches, units
from .errors import AppNotInstalled, BadSetting

DEFAULT_KEEP_FOR: Final = timedelta(days=7)
UNDECLARED: Final = object()
_CELERY_DEFAULT = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Keeping:
    """How long results are kept (None: for ever), and what says so."""

    keep_for: timedelta | None
    source: str

    def before(self, now: datetime) -> datetime | None:
        """Return the time before which results go; None when none go. No result is older than 1970."""
        if self.keep_for is None:
            return None
        return now - self.keep_for if self.keep_for < now - _EPOCH else _EPOCH


@dataclass(frozen=True)
class Purged:
    """Rows that were deleted (or would be), and in how many transactions."""

    task_results: int
    group_results: int
    batches: int


def keeping(*, flag: timedelta | None, setting: timedelta | None, expires: object = UNDECLARED) -> Keeping:
    """Return how long results are kept: the flag's time, else the setting's, else Celery's own, else 7 days.

    In the two settings 0 means for ever, as it does for Celery; so does None in ``expires`` (CELERY_RESULT_EXPIRES).
    Raises BadSetting when ``expires`` is no duration.
    """
    if flag is not None:
        return Keeping(flag, "--older-than")
    if setting is not None:
        return Keeping(setting or None, 'MAINTENANCE["RESULTS"]["KEEP_FOR"]')
    if expires is UNDECLARED:
        return Keeping(DEFAULT_KEEP_FOR, "the default")
    if expires is None:
        return Keeping(None, "CELERY_RESULT_EXPIRES")
    try:
        return Keeping(units.duration(expires) or None, "CELERY_RESULT_EXPIRES")
    except ValueError as error:
        raise BadSetting(
            where="settings", key="CELERY_RESULT_EXPIRES", value=expires, expected="a number of seconds or a timedelta"
        ) from error


def expires_of(app: Celery) -> object:
    """Return ``result_expires`` when the project's code gave ``app`` one; UNDECLARED when it is Celery's own day."""
    expires = app.conf.result_expires
    return UNDECLARED if expires == _CELERY_DEFAULT else expires


def count(*, before: datetime | None) -> Purged:
    """Return how many results a purge would delete. Raises AppNotInstalled."""
    tasks, groups = (rows.count() for rows in _expired(before))
    return Purged(tasks, groups, 0)


def purge(*, before: datetime | None, batch_size: int) -> Purged:
    """Delete the results that finished before ``before`` (None: none), oldest first. Raises AppNotInstalled."""
    tasks, groups = (list(batches.delete(rows, by="date_done", size=batch_size)) for rows in _expired(before))
    return Purged(sum(tasks), sum(groups), len(tasks) + len(groups))


def are_stored(app: Celery) -> bool:
    """Return whether the app's results go to django-celery-results' tables."""
    return apps.is_installed("django_celery_results") and str(app.conf.result_backend).startswith("django-db")


def unfinished(runs: Mapping[str, tuple[str, datetime]]) -> set[str]:
    """Return the names of ``runs`` (name: task id, due time) that have no final result.

    A result that a schedule of that name left after the due time counts too: earlier beats chose other ids.
    """
    from django_celery_results.models import TaskResult

    done = TaskResult.objects.filter(status__in=READY_STATES)
    ids = set(done.filter(task_id__in=[task_id for task_id, _ in runs.values()]).values_list("task_id", flat=True))
    open_runs = {name: since for name, (task_id, since) in runs.items() if task_id not in ids}
    later = done.filter(periodic_task_name__in=open_runs, date_done__gte=min(open_runs.values(), default=_EPOCH))
    finished = {
        name for name, at in later.values_list("periodic_task_name", "date_done") if name and at >= open_runs[name]
    }
    return set(open_runs) - finished


def _expired(before: datetime | None) -> tuple[QuerySet[Any], QuerySet[Any]]:
    if not apps.is_installed("django_celery_results"):
        raise AppNotInstalled(package="django_celery_results", distribution="django-celery-results")
    from django_celery_results.models import GroupResult, TaskResult

    if before is None:
        return TaskResult.objects.none(), GroupResult.objects.none()
    return TaskResult.objects.filter(date_done__lt=before), GroupResult.objects.filter(date_done__lt=before)


@dataclass(frozen=True)
class Finished:
    """How the last run of a schedule ended, when, and how long it took from its start (None: it was not tracked)."""

    status: str
    at: datetime
    took: timedelta | None


def last_of_schedules() -> dict[str, Finished]:
    """Return the latest finished result of each schedule by its name, in one query; nothing without the tables."""
    if not apps.is_installed("django_celery_results"):
        return {}
    from django_celery_results.models import TaskResult

    done = TaskResult.objects.filter(periodic_task_name__isnull=False, date_done__isnull=False)
    done = done.filter(status__in=("SUCCESS", "FAILURE", "REVOKED"))
    latest = done.values("periodic_task_name").annotate(latest=Max("id")).values("latest")
    columns = ("periodic_task_name", "status", "date_done", "date_started")
    return {
        name: Finished(status, at, at - started if started else None)
        for name, status, at, started in TaskResult.objects.filter(id__in=latest).values_list(*columns)
    }
