"""Sessions: removing the expired ones in bounded steps."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any, Final

from django.apps import apps
from django.db import router
from django.db.models import QuerySet
from django.db.utils import OperationalError

from . import batches
from .batches import Pace
from .errors import AppNotInstalled, ConfigurationError, MaintenanceError, Unavailable

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


class Unfinished(MaintenanceError):
    """Stopped {why} with expired sessions left: {deleted} deleted."""

    exit_code = 75
    hint = "Run it again: it goes on where it stopped."


class DatabaseLost(Unavailable):
    """The database was lost while expired sessions were deleted ({deleted} are gone): {reason}."""

    hint = "Start it, and run this again: it goes on where it stopped."


@dataclass(frozen=True)
class Cleared:
    """What was removed: ``deleted`` is None where the engine removed them by itself and does not tell.

    ``stopped`` tells why some are left; it is empty when none are.
    """

    engine: str
    deleted: int | None
    batches: int
    stopped: str = ""

    @property
    def complete(self) -> bool:
        """Whether no expired session is left."""
        return not self.stopped


def count(*, engine: str, before: datetime) -> int | None:
    """Return how many sessions expired before ``before``; None where the engine cannot tell."""
    rows = _rows(engine)
    return None if rows is None else rows.filter(expire_date__lt=before).count()


def clear(
    *,
    engine: str,
    before: datetime,
    pace: Pace | None = None,
    tell: Callable[[int], None] = lambda number: None,
) -> Cleared:
    """Remove the sessions that expired before ``before``: database rows in batches, others as their engine does it.

    ``pace`` says how fast, and when to stop (None: without pause or end); ``tell`` hears of each batch.
    Raises SessionsNotInstalled, SessionsCannotExpire, UnknownSessionEngine, DatabaseLost.
    """
    rows, pace = _rows(engine), pace or Pace(size=BATCH_SIZE)
    if rows is None:
        try:
            _store(engine).clear_expired()
        except NotImplementedError as error:
            raise SessionsCannotExpire(engine=engine) from error
        return Cleared(engine, None, 0)
    stopped = ""
    try:
        for batch in batches.walk(rows, by="expire_date", pace=pace, until=before):
            tell(batch.total())
    except batches.OutOfTime as error:
        stopped = str(error.facts["why"])
    except OperationalError as error:
        if not pace.deleted:
            raise
        raise DatabaseLost(deleted=pace.deleted, reason=str(error).strip().rstrip(".")) from error
    return Cleared(engine, pace.deleted, pace.batches, stopped)


def usual_rest(engine: str) -> float:
    """Return how long to rest between two batches, in seconds: none where the engine has no table."""
    rows = _rows(engine)
    return 0.0 if rows is None else batches.usual_rest(rows.db)


def table_names(engine: str) -> list[str]:
    """Return the table of a database engine; none of another. Raises UnknownSessionEngine."""
    from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

    store = _store(engine)
    if not issubclass(store, DatabaseStore) or not apps.is_installed(_APP):
        return []
    return [store.get_model_class()._meta.db_table]


def _rows(engine: str) -> QuerySet[Any] | None:
    from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

    store = _store(engine)
    if not issubclass(store, DatabaseStore):
        return None
    if not apps.is_installed(_APP):
        raise SessionsNotInstalled(engine=engine, package=_APP, distribution="Django")
    model: Any = store.get_model_class()
    rows: QuerySet[Any] = model.objects.using(router.db_for_write(model))
    return rows


def _store(engine: str) -> Any:
    try:
        return import_module(engine).SessionStore
    except (ImportError, AttributeError) as error:
        raise UnknownSessionEngine(engine=engine, reason=error) from error
