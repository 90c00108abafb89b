"""A schedule's entry as a value: what is sent, where and when, the same whether declared or stored."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from kombu.utils.json import dumps

from .timings import Clocked, Timing


@dataclass(frozen=True)
class Entry:
    """One periodic task. ``args``, ``kwargs`` and ``headers`` are JSON with sorted keys, so that equal is equal."""

    name: str
    task: str
    timing: Timing
    args: str = "[]"
    kwargs: str = "{}"
    queue: str | None = None
    exchange: str | None = None
    routing_key: str | None = None
    priority: int | None = None
    headers: str = "{}"
    expires: datetime | None = None
    expire_seconds: int | None = None
    one_off: bool = False

    @property
    def fingerprint(self) -> str:
        """64 hex digits that differ when anything of the entry does; two spellings of one crontab have one."""
        timing = {"kind": self.timing.kind, **_meaning(self.timing)}
        content = {**self.columns, "timing": timing, "name": self.name}
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()

    @property
    def columns(self) -> dict[str, Any]:
        """The row's columns, without its name and its schedule."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in ("name", "timing")}

    def changes_to(self, other: "Entry") -> dict[str, tuple[object, object]]:
        """Return what differs in ``other``: {field: (ours, theirs)}, the timing as ``schedule`` in words."""
        names = [field.name for field in fields(self) if getattr(self, field.name) != getattr(other, field.name)]
        return {
            "schedule" if name == "timing" else name: (_plain(getattr(self, name)), _plain(getattr(other, name)))
            for name in names
        }


def canonical(value: object) -> str:
    """Return ``value`` as JSON the way beat reads it, keys sorted. Raises TypeError, ValueError."""
    return dumps(value, sort_keys=True, allow_nan=False)


def recanonical(text: str | None, *, empty: str) -> str:
    """Return stored JSON with sorted keys; text that is no JSON as it is."""
    try:
        return json.dumps(json.loads(text or empty), sort_keys=True)
    except ValueError:
        return text or empty


def _meaning(timing: Timing) -> Mapping[str, object]:
    return {field.name: getattr(timing, field.name) for field in fields(timing) if field.compare}


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, str | int | bool | datetime) else str(value)


def is_one_off(timing: Timing) -> bool:
    """Return whether the tables insist that such an entry runs once."""
    return isinstance(timing, Clocked)
