"""Times between Python and the tables, which hold naive ones in the project's zone where USE_TZ is False."""

from datetime import UTC, datetime
from typing import overload

from django.utils.timezone import is_naive, make_aware, make_naive


@overload
def aware(value: datetime) -> datetime: ...
@overload
def aware(value: datetime | None) -> datetime | None: ...
def aware(value: datetime | None) -> datetime | None:
    """Return a time of the tables in UTC."""
    if value is None:
        return None
    return (make_aware(value) if is_naive(value) else value).astimezone(UTC)


def stored(value: datetime, *, naive: bool) -> datetime:
    """Return an aware time as the tables take it."""
    return make_naive(value) if naive else value
