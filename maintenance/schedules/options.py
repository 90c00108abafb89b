"""The send options of a declared entry: parted into what the table has columns for and what is kept beside them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any

from .values import Refused, as_json, json_dict, line, moment

_KNOWN = """
    add_to_parent argsrepr chain chord compression confirm_timeout connection content_encoding content_type
    correlation_id countdown declare delivery_mode eta exchange expire_seconds expires group_id group_index headers
    ignore_result immediate kwargsrepr link link_error mandatory parent_id priority producer publisher queue
    replaced_task_nesting reply_to retries retry retry_policy root_id router routing_key serializer shadow
    soft_time_limit stamped_headers task_id time_limit timeout timestamp user_id
"""
KNOWN = frozenset(_KNOWN.split())
"""The options that Celery's apply_async and kombu's publish know."""

IN_COLUMNS = ("queue", "exchange", "routing_key", "priority", "headers", "expires", "expire_seconds")
_LARGEST_SECONDS = 2**31 - 1
_SCALARS = frozenset({str, int, float, bool, type(None)})


@dataclass(frozen=True)
class Options:
    """Fields of an entry by name, what is wrong and what is doubtful: pairs of the problem and its cure."""

    values: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[tuple[str, str], ...] = ()
    doubts: tuple[tuple[str, str], ...] = ()


def read(given: Any, zone: tzinfo) -> Options:
    """Return what ``given`` means; naive times are in ``zone``."""
    try:
        known = _checked(given)
    except Refused as error:
        return Options(faults=((error.args[0], error.args[1]),))
    readers: dict[str, Callable[[], Any]] = {
        "options": lambda: _others(known),
        "queue": lambda: _destination(known.get("queue"), "queue"),
        "exchange": lambda: _destination(known.get("exchange"), "exchange"),
        "routing_key": lambda: _destination(known.get("routing_key"), "routing_key"),
        "priority": lambda: _priority(known.get("priority")),
        "headers": lambda: json_dict(known.get("headers"), "headers"),
        "expires": lambda: _expires_at(known, zone),
        "expire_seconds": lambda: _expires_after(known),
    }
    values, faults = {}, []
    for name, reader in readers.items():
        try:
            values[name] = reader()
        except Refused as error:
            faults.append((error.args[0], error.args[1]))
    cure = "It is sent as it is; check its spelling."
    doubts = [(f"Celery knows no send option {name!r}", cure) for name in known if name not in KNOWN]
    return Options(values, tuple(faults), tuple(doubts) if "options" in values else ())


def plain_key(given: Any) -> Any:
    """Return what two equal options have in common; None where they hold more than plain values."""
    if not given:
        return ()
    if type(given) is not dict:
        return None
    kinds = tuple(map(type, given.values()))  # 1, 1.0 and True are equal, and mean different things
    return (tuple(given.items()), kinds) if _SCALARS.issuperset(kinds) else None


def _checked(given: Any) -> Mapping[str, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise Refused(f"its options are a {type(given).__name__}", "Write a dict.")
    if not all(isinstance(key, str) for key in given or ()):
        raise Refused("its options have a key that is no text", "Write every key as text.")
    return dict(given or {})


def _destination(value: Any, key: str) -> str | None:
    return None if value is None else line(getattr(value, "name", value), f"its {key}", key)


def _priority(value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 255):
        raise Refused(f"its priority is {value!r}", "Write a whole number from 0 to 255.")
    return value


def _expires_at(options: Mapping[str, Any], zone: tzinfo) -> datetime | None:
    """Return the time after which the entry's messages are dropped, if it is one."""
    value = options.get("expires")
    return moment(value, zone) if isinstance(value, datetime) else None


def _expires_after(options: Mapping[str, Any]) -> int | None:
    """Return the whole seconds after which a message is dropped; None when the column cannot hold them."""
    seconds = _expiry(options)
    return int(seconds) if seconds is not None and seconds == int(seconds) and seconds <= _LARGEST_SECONDS else None


def _others(options: Mapping[str, Any]) -> str:
    """Return the options that the table has no column for, as canonical JSON."""
    rest = {key: _written(value) for key, value in options.items() if key not in IN_COLUMNS}
    seconds = _expiry(options)
    if seconds is not None and _expires_after(options) is None:
        rest["expires"] = seconds
    return as_json(rest, "options", as_beat=False)


def _expiry(options: Mapping[str, Any]) -> float | None:
    value = options.get("expires", options.get("expire_seconds"))
    if value is None or isinstance(value, datetime):
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise Refused(f"its expires is {value!r}", "Write seconds above 0, a timedelta or a datetime.")
    return seconds


def _written(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
