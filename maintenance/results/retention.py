"""How long results are kept, and what says so."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from celery import Celery

from .. import units
from ..errors import BadSetting

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
        return None if self.keep_for is None else ago(self.keep_for, now)


def ago(age: timedelta, now: datetime) -> datetime:
    """Return the time ``age`` before ``now``, at the earliest 1970."""
    epoch = _EPOCH if now.tzinfo else _EPOCH.replace(tzinfo=None)
    return now - age if age < now - epoch else epoch


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
    except (ValueError, AttributeError) as error:
        raise BadSetting(
            where="settings", key="CELERY_RESULT_EXPIRES", value=expires, expected="a number of seconds or a timedelta"
        ) from error


def keeping_failed(*, flag: timedelta | None, setting: timedelta | None, others: Keeping) -> Keeping:
    """Return how long failures are kept: the flag's time, else the setting's (0: for ever), else as the ``others``."""
    if flag is not None:
        return Keeping(flag, "--failed-older-than")
    if setting is not None:
        return Keeping(setting or None, 'MAINTENANCE["RESULTS"]["KEEP_FAILED_FOR"]')
    return others


def expires_of(app: Celery) -> object:
    """Return ``result_expires`` when the project's code gave ``app`` one; UNDECLARED when it is Celery's own day."""
    expires = app.conf.result_expires
    return UNDECLARED if expires == _CELERY_DEFAULT else expires
