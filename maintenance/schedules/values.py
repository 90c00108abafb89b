"""The plain values of a declared entry (names, times, JSON) as the tables hold them, or refused with the cure."""

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any

from django_celery_beat.models import PeriodicTask

from .entries import canonical


class Refused(Exception):
    """The first argument is the problem, the second the cure."""


def line(value: Any, what: str, column: str) -> str:
    """Return a text that ``column`` of the table can hold. Raises Refused."""
    if not isinstance(value, str) or not value.strip():
        raise Refused(f"{what} is {value!r}", "Write a name.")
    if len(value) > _longest(column):
        raise Refused(f"{what} has {len(value)} characters", f"The table holds {_longest(column)}: shorten it.")
    return value


def json_list(value: Any, what: str) -> str:
    """Return a list or tuple as canonical JSON. Raises Refused."""
    if value is not None and not isinstance(value, list | tuple):
        raise Refused(f"its {what} are a {type(value).__name__}", "Write a list or tuple.")
    return as_json(list(value), what) if value else "[]"


def json_dict(value: Any, what: str) -> str:
    """Return a dict as canonical JSON. Raises Refused."""
    if not value and (value is None or isinstance(value, Mapping)):
        return "{}"
    if not isinstance(value, Mapping):
        raise Refused(f"its {what} are a {type(value).__name__}", "Write a dict.")
    if not all(isinstance(key, str) for key in value):
        raise Refused(f"its {what} have a key that is no text", "Write every key as text.")
    return as_json(dict(value), what)


def as_json(value: Any, what: str, *, as_beat: bool = True) -> str:
    """Return canonical JSON; ``as_beat`` with the types that only kombu can write. Raises Refused."""
    try:
        return canonical(value, plain=not as_beat)
    except (TypeError, ValueError) as error:
        raise Refused(f"its {what} are not JSON ({error})", "Pass ids and plain values.") from error


def moment(value: datetime, zone: tzinfo) -> datetime:
    """Return a time in UTC; a naive one is meant in ``zone``."""
    return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)


@lru_cache
def _longest(column: str) -> int:
    return PeriodicTask._meta.get_field(column).max_length or 0
