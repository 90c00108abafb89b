"""What the results tell of the runs of schedules."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from celery import Celery
from celery.states import READY_STATES
from django.apps import apps
from django.db.models import Max

# The names by which Celery may know the tables of django-celery-results.
_BACKENDS: Final = ("django-db", "django_celery_results.backends", "maintenance.results.backend")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Finished:
    """How the last run of a schedule ended, when, and how long it took from its start (None: it was not tracked)."""

    status: str
    at: datetime
    took: timedelta | None


def are_stored(app: Celery) -> bool:
    """Return whether the app's results go to django-celery-results' tables."""
    return apps.is_installed("django_celery_results") and str(app.conf.result_backend).startswith(_BACKENDS)


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


def last_of_schedules(names: Collection[str] | None = None) -> dict[str, Finished]:
    """Return the latest finished result of each schedule by its name, in one query; nothing without the tables.

    With ``names`` only of these schedules.
    """
    if not apps.is_installed("django_celery_results"):
        return {}
    from django_celery_results.models import TaskResult

    done = TaskResult.objects.filter(periodic_task_name__isnull=False, date_done__isnull=False)
    done = done.filter(status__in=("SUCCESS", "FAILURE", "REVOKED"))
    if names is not None:
        done = done.filter(periodic_task_name__in=names)
    latest = done.values("periodic_task_name").annotate(latest=Max("id")).values("latest")
    columns = ("periodic_task_name", "status", "date_done", "date_started")
    return {
        name: Finished(status, at, at - started if started else None)
        for name, status, at, started in TaskResult.objects.filter(id__in=latest).values_list(*columns)
    }


def last_ends(*, since: datetime) -> dict[str, datetime]:
    """Return when the latest run of each schedule ended, of those that ended ``since`` then."""
    from django_celery_results.models import TaskResult

    done = TaskResult.objects.filter(date_done__gte=since, periodic_task_name__isnull=False, status__in=READY_STATES)
    return dict(done.values_list("periodic_task_name").annotate(latest=Max("date_done")).order_by())


def oldest(*, of: Collection[str] = READY_STATES) -> datetime | None:
    """Return when the oldest result of these statuses ended, by the index of that column."""
    from django_celery_results.models import TaskResult

    rows = TaskResult.objects.filter(status__in=of, date_done__isnull=False)
    return rows.order_by("date_done").values_list("date_done", flat=True).first()
