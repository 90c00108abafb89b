"""The tables of django-celery-results, and the task names and states in them."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from celery.states import ALL_STATES
from django.apps import apps
from django.db import router
from django.db.models import Q, QuerySet

from ..errors import AppNotInstalled, ConfigurationError

_APP: Final = "django_celery_results"
_MODELS: Final = ("TaskResult", "GroupResult", "ChordCounter")


class UnknownStatus(ConfigurationError):
    """No task has the status {status!r}."""

    hint = "Celery's are {known}; a status of your own must be in the table."


class Tables(NamedTuple):
    """The rows of one database."""

    tasks: QuerySet[Any]
    groups: QuerySet[Any]
    chords: QuerySet[Any]


def tables(using: str | None = None) -> Tables:
    """Return all rows of the database ``using`` (None: where the router writes results). Raises AppNotInstalled."""
    if not (models := _models()):
        raise AppNotInstalled(package="django_celery_results", distribution="django-celery-results")
    using = using or router.db_for_write(models[0])
    return Tables(*(model.objects.using(using).order_by() for model in models))


def alias(using: str | None = None) -> str:
    """Return the alias of the database that :func:`tables` means. Raises AppNotInstalled."""
    return tables(using).tasks.db


def table_names() -> list[str]:
    """Return the names of the tables; none where the app is not installed."""
    return [model._meta.db_table for model in _models()]


def _models() -> list[Any]:
    installed = apps.is_installed(_APP)
    return [apps.get_model(_APP, name) for name in _MODELS] if installed else []


def names(rows: QuerySet[Any]) -> list[str | None]:
    """Return the task names of ``rows``; None where a row has none."""
    nameless: list[str | None] = [None] if rows.filter(task_name=None).exists() else []
    return nameless + values("task_name", rows)


def values(column: str, rows: QuerySet[Any]) -> list[Any]:
    """Return the different values of an indexed column, in as many steps along the index as there are."""
    found = []
    ahead = rows.filter(**{f"{column}__isnull": False}).order_by(column).values_list(column, flat=True)
    value = ahead.first()
    while value is not None:
        found.append(value)
        value = ahead.filter(**{f"{column}__gt": value}).first()
    return found


def matching(globs: Iterable[str], rows: QuerySet[Any]) -> Q:
    """Return the condition that a task's name matches one of ``globs`` (none: any name). ``*`` is the nameless too."""
    globs = list(globs)
    if not globs:
        return Q()
    matched = [name for name in names(rows) if any(fnmatchcase(name or "", glob) for glob in globs)]
    condition = Q(task_name__in=[name for name in matched if name is not None])
    return condition | Q(task_name=None) if None in matched else condition


def check_statuses(statuses: Iterable[str], rows: QuerySet[Any]) -> None:
    """Raise UnknownStatus for one that is neither Celery's nor in the table."""
    for status in statuses:
        if status not in ALL_STATES and not rows.filter(status=status).exists():
            raise UnknownStatus(status=status, known=", ".join(sorted(ALL_STATES)))
