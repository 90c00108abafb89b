"""Sessions: removing the expired ones in bounded steps."""

from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any, Final

from django.apps import apps
from django.db.models import QuerySet

from . import batches
from .errors import AppNotInstalled, ConfigurationError

BATCH_SIZE: Final = 5000
_APP = "django.contrib.sessions"


class SessionsNotInstalled(AppNotInstalled):
    """The session engine {engine!r} keeps its rows in the tables of {package!r}, which is not installed."""

    hint = 'Add "{package}" to INSTALLED_APPS, then run `manage.py migrate`; or set another SESSION_ENGINE.'


class SessionsCannotExpire(ConfigurationError):
    """The session engine {engine!r} cannot remove expired sessions."""

    hint = "Its clear_expired() is not implemented: nothing was removed."


class UnknownSessionEngine(ConfigurationError):
    """SESSION_ENGINE = {engine!r} cannot be imported: {reason}."""


@dataclass(frozen=True)
class Cleared:
    """What was removed: ``deleted`` is None where the engine removed them by itself and does not tell."""

    engine: str
    deleted: int | None
    batches: int


def count(*, engine: str, before: datetime) -> int | None:
    """Return how many sessions expired before ``before``; None where the engine cannot tell."""
    rows = _rows(engine, before)
    return None if rows is None else rows.count()


def clear(*, engine: str, before: datetime, batch_size: int = BATCH_SIZE) -> Cleared:
    """Remove the sessions that expired before ``before``: database rows in batches, others as their engine does it.

    Raises SessionsNotInstalled, SessionsCannotExpire, UnknownSessionEngine.
    """
    rows = _rows(engine, before)
    if rows is not None:
        deleted = list(batches.delete(rows, by="expire_date", size=batch_size))
        return Cleared(engine, sum(deleted), len(deleted))
    try:
        _store(engine).clear_expired()
    except NotImplementedError as error:
        raise SessionsCannotExpire(engine=engine) from error
    return Cleared(engine, None, 0)


def _rows(engine: str, before: datetime) -> QuerySet[Any] | None:
    from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

    store = _store(engine)
    if not issubclass(store, DatabaseStore):
        return None
    if not apps.is_installed(_APP):
        raise SessionsNotInstalled(engine=engine, package=_APP, distribution="Django")
    model: Any = store.get_model_class()
    rows: QuerySet[Any] = model.objects.filter(expire_date__lt=before)
    return rows


def _store(engine: str) -> Any:
    try:
        return import_module(engine).SessionStore
    except (ImportError, AttributeError) as error:
        raise UnknownSessionEngine(engine=engine, reason=error) from error
