"""What the tables hold, written as the Python of settings, which sync reads back to the same."""

import json
from collections.abc import Iterable
from pprint import pformat
from typing import Any

from .entries import Entry
from .timings import CRONTAB_FIELDS, Clocked, Crontab, Interval, Solar, Timing, Unreadable

IMPORTS = {
    "crontab": "from celery.schedules import crontab",
    "solar": "from celery.schedules import solar",
    "clocked": "from django_celery_beat.clockedschedule import clocked",
    "timedelta": "from datetime import timedelta",
    "datetime": "import datetime",
}


def python(entries: Iterable[Entry]) -> str:
    """Return CELERY_BEAT_SCHEDULE and MAINTENANCE_SCHEDULES (for MAINTENANCE["SCHEDULES"]) as a module's text.

    A schedule that nobody can read is a comment.
    """
    readable, comments = [], []
    for entry in entries:
        if isinstance(entry.timing, Unreadable):
            comments.append(f"# {entry.name!r} is left out: {entry.timing}")
        else:
            readable.append(entry)
    beat = [f"    {entry.name!r}: {{\n{_indented(_beat(entry))}    }},\n" for entry in readable]
    extras = [f"    {entry.name!r}: {{\n{_indented(more)}    }},\n" for entry in readable if (more := _extras(entry))]
    body = f"CELERY_BEAT_SCHEDULE = {{\n{''.join(beat)}}}\nMAINTENANCE_SCHEDULES = {{\n{''.join(extras)}}}\n"
    imports = sorted(line for word, line in IMPORTS.items() if f"{word}(" in body or f"{word}." in body)
    return "\n".join([*imports, *([""] if imports else []), *comments, body])


def _beat(entry: Entry) -> dict[str, str]:
    found = {"task": repr(entry.task), "schedule": _schedule(entry.timing)}
    for name, empty in (("args", []), ("kwargs", {})):
        if (value := _loaded(getattr(entry, name))) != empty:
            found[name] = pformat(value, width=100, sort_dicts=False)
    options = {name: getattr(entry, name) for name in ("queue", "exchange", "routing_key", "priority")}
    options = {name: value for name, value in options.items() if value is not None}
    options |= {"headers": headers} if (headers := _loaded(entry.headers)) else {}
    if entry.expires is not None or entry.expire_seconds is not None:
        options["expires"] = entry.expires or entry.expire_seconds
    options |= _loaded(entry.options)
    if options:
        found["options"] = repr(options)
    return found


def _extras(entry: Entry) -> dict[str, str]:
    found: dict[str, Any] = {}
    if not entry.enabled:
        found["enabled"] = False
    if entry.one_off and not isinstance(entry.timing, Clocked):
        found["one_off"] = True
    found |= {name: value for name in ("start_time", "description", "ping") if (value := getattr(entry, name))}
    found |= {"misfire": entry.misfire} if entry.misfire != "once" else {}
    found |= {"no_overlap": True} if entry.no_overlap else {}
    if isinstance(entry.timing, Crontab):
        found["timezone"] = entry.timing.zone
    return {name: repr(value) for name, value in found.items()}


def _schedule(timing: Timing) -> str:
    if isinstance(timing, Interval):
        seconds, rest = divmod(timing.microseconds, 10**6)
        return f"timedelta(seconds={seconds}, microseconds={rest})" if rest else str(seconds)
    if isinstance(timing, Crontab):
        fields = zip(CRONTAB_FIELDS, timing.texts, strict=True)
        return f"crontab({', '.join(f'{name}={text!r}' for name, text in fields)})"
    if isinstance(timing, Solar):
        return f"solar({timing.event!r}, {timing.latitude}, {timing.longitude})"
    return f"clocked({timing.at!r})" if isinstance(timing, Clocked) else "None"


def _indented(values: dict[str, str]) -> str:
    return "".join(f"        {name!r}: {value},\n" for name, value in values.items())


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
