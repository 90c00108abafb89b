"""What a declared entry sends: its arguments and send options, read or refused with the cure."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from django_celery_beat.models import PeriodicTask

from .entries import canonical

_OPTIONS = """
    add_to_parent argsrepr chain chord compression confirm_timeout connection content_encoding content_type
    correlation_id countdown declare delivery_mode eta exchange expire_seconds expires group_id group_index headers
    ignore_result immediate kwargsrepr link link_error mandatory parent_id priority producer publisher queue
    replaced_task_nesting reply_to retries retry retry_policy root_id router routing_key serializer shadow
    soft_time_limit stamped_headers task_id time_limit timeout timestamp user_id
"""
KNOWN = frozenset(_OPTIONS.split())
"""The options that Celery's apply_async and kombu's publish know."""

IN_COLUMNS = ("queue", "exchange", "routing_key", "priority", "headers", "expires", "expire_seconds")
_LARGEST_SECONDS = 2**31 - 1


class Refused(Exception):
    """The first argument is the problem, the second the cure."""


def line(value: Any, what: str, column: str) -> str:
    """Return a text that ``column`` of the table can hold. Raises Refused."""
    longest = PeriodicTask._meta.get_field(column).max_length or 0
    if not isinstance(value, str) or not value.strip():
        raise Refused(f"{what} is {value!r}", "Write a name.")
    if len(value) > longest:
        raise Refused(f"{what} has {len(value)} characters", f"The table holds {longest}: shorten it.")
    return value


def json_list(value: Any, what: str) -> str:
    """Return a list or tuple as canonical JSON. Raises Refused."""
    if value is not None and not isinstance(value, list | tuple):
        raise Refused(f"its {what} are a {type(value).__name__}", "Write a list or tuple.")
    return _json(list(value or ()), what)


def json_dict(value: Any, what: str) -> str:
    """Return a dict as canonical JSON. Raises Refused."""
    if value is not None and not isinstance(value, Mapping):
        raise Refused(f"its {what} are a {type(value).__name__}", "Write a dict.")
    if not all(isinstance(key, str) for key in value or ()):
        raise Refused(f"its {what} have a key that is no text", "Write every key as text.")
    return _json(dict(value or {}), what)


def checked(options: Any) -> Mapping[str, Any]:
    """Return the entry's options if they are a dict of names. Raises Refused."""
    if options is not None and not isinstance(options, Mapping):
        raise Refused(f"its options are a {type(options).__name__}", "Write a dict.")
    if not all(isinstance(key, str) for key in options or ()):
        raise Refused("its options have a key that is no text", "Write every key as text.")
    return dict(options or {})


def destination(value: Any, key: str) -> str | None:
    """Return the name of a queue, exchange or routing key. Raises Refused."""
    return None if value is None else line(getattr(value, "name", value), f"its {key}", key)


def priority(value: Any) -> int | None:
    """Return a priority that the column can hold. Raises Refused."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 255):
        raise Refused(f"its priority is {value!r}", "Write a whole number from 0 to 255.")
    return value


def moment(value: datetime, zone: tzinfo) -> datetime:
    """Return a time in UTC; a naive one is meant in ``zone``."""
    return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)


def expires_at(options: Mapping[str, Any], zone: tzinfo) -> datetime | None:
    """Return the time after which the entry's messages are dropped, if it is one."""
    value = options.get("expires")
    return moment(value, zone) if isinstance(value, datetime) else None


def expires_after(options: Mapping[str, Any]) -> int | None:
    """Return the whole seconds after which a message is dropped; None when the column cannot hold them."""
    seconds = _expiry(options)
    return int(seconds) if seconds is not None and seconds == int(seconds) and seconds <= _LARGEST_SECONDS else None


def others(options: Mapping[str, Any]) -> str:
    """Return the options that the table has no column for, as canonical JSON. Raises Refused."""
    rest = {key: _plain(value) for key, value in options.items() if key not in IN_COLUMNS}
    seconds = _expiry(options)
    if seconds is not None and expires_after(options) is None:
        rest["expires"] = seconds
    return _json(rest, "options", as_beat=False)


def unknown(options: Mapping[str, Any]) -> list[str]:
    """Return the options that Celery does not know; it hands them to the broker's publish."""
    return [key for key in options if key not in KNOWN]


def _expiry(options: Mapping[str, Any]) -> float | None:
    value = options.get("expires", options.get("expire_seconds"))
    if value is None or isinstance(value, datetime):
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise Refused(f"its expires is {value!r}", "Write seconds above 0, a timedelta or a datetime.")
    return seconds


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _json(value: Any, what: str, *, as_beat: bool = True) -> str:
    try:
        if as_beat or not value:
            return canonical(value)
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Refused(f"its {what} are not JSON ({error})", "Pass ids and plain values.") from error
