"""A schedule's entry as a value: what is sent, where and when, the same whether declared or stored."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from typing import Any

from kombu.utils.json import dumps

from .timings import Timing

EXTRAS = ("options", "misfire", "no_overlap", "ping")
"""What django-celery-beat's table has no column for; maintenance.models.ManagedSchedule holds it."""

OPTIONAL = ("start_time", "description")
"""Fields that are a person's business where the entry leaves them out."""


@dataclass(frozen=True)
class Entry:
    """One periodic task. ``args``, ``kwargs``, ``headers`` and ``options`` are JSON with sorted keys."""

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
    enabled: bool = True
    start_time: datetime | None = None
    description: str | None = None
    options: str = "{}"
    misfire: str = "once"
    no_overlap: bool = False
    ping: str = ""

    @property
    def fingerprint(self) -> str:
        """64 hex digits that differ when anything of the entry does; two spellings of one crontab have one."""
        content = repr((self.name, self.start_time, self.description, *self.mark))
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def mark(self) -> tuple[object, ...]:
        """What the tables hold of it, in the order of MARKED: equal marks have equal facts."""
        return _marked(self)

    @property
    def columns(self) -> dict[str, Any]:
        """The row's columns, without its name and its schedule."""
        return {**dict(zip(COLUMNS, _columns(self), strict=True)), "description": self.description or ""}

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """Every field but the name as plain JSON, the timing as ``schedule`` by its meaning."""
        facts = dict(zip(FACTS, _facts(self), strict=True))
        return facts | {name: facts[name].isoformat() for name in ("expires", "start_time") if facts[name]}

    def words(self, name: str) -> object:
        """Return the fact ``name`` as it is shown: the schedule in words."""
        value = self.timing if name == "schedule" else getattr(self, name)
        return value if value is None or isinstance(value, str | int | bool | datetime) else str(value)


MARKED = (
    *("task", "args", "kwargs", "headers", "queue", "exchange", "routing_key", "priority"),
    *("expires", "expire_seconds", "one_off", "enabled", "timing.meaning_text"),
    *EXTRAS,
)
"""Every field but the name and OPTIONAL: the row's own columns, its schedule's meaning, what only we keep."""

_marked = attrgetter(*MARKED)
_PLAIN = json.JSONEncoder(sort_keys=True, allow_nan=False)
COLUMNS = tuple(field.name for field in fields(Entry) if field.name not in ("name", "timing", *EXTRAS))
FACTS = ("schedule", *COLUMNS, *EXTRAS)
_columns = attrgetter(*COLUMNS)
_facts = attrgetter("timing.meaning_text", *COLUMNS, *EXTRAS)


def canonical(value: object, *, plain: bool = False) -> str:
    """Return ``value`` as JSON the way beat reads it, keys sorted; ``plain`` without kombu's own types.

    Raises TypeError, ValueError.
    """
    try:
        return _PLAIN.encode(value)
    except TypeError:
        if plain:
            raise
        return dumps(value, sort_keys=True, allow_nan=False)


def recanonical(text: str | None, *, empty: str) -> str:
    """Return stored JSON with sorted keys; text that is no JSON as it is."""
    if not text or text == empty:
        return empty
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return text
