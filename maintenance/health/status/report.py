"""The status in words: lines for a screen, and one document."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from ...units import counted, human_duration, human_size
from ..base import OK
from ..runner import Finding
from .part import Part, Rows

Asked = Sequence[tuple[Part, Finding]]


def said(part: Part, finding: Finding) -> bool:
    """Whether a part was answered."""
    return finding.state == OK and part.read is not None


def document(asked: Asked) -> dict[str, Any]:
    """Return every part by its id: its rows, or why it could not be asked."""
    return {part.id: _fact(part, finding) for part, finding in asked}


def lines(asked: Asked, *, now: datetime) -> list[tuple[str, list[str]]]:
    """Return the title of every part with its lines."""
    return [(part.title, _lines(part, finding, now)) for part, finding in asked]


def _fact(part: Part, finding: Finding) -> dict[str, Any]:
    asked = said(part, finding)
    return {"asked": asked, "trouble": "" if asked else finding.message, "rows": part.read if asked else []}


def _lines(part: Part, finding: Finding, now: datetime) -> list[str]:
    if not said(part, finding):
        return [f"could not ask: {finding.message}"]
    return _WORDS[part.id](part.read or [], now)


def _workers(rows: Rows, now: datetime) -> list[str]:
    return [
        f"{row['name']}  {row['pool']} × {row['concurrency'] or 1}  {row['active']} active  "
        f"{row['processed']} done  up {_long(row['uptime_seconds'] or 0)}"
        for row in rows
    ] or ["none answers: tasks wait"]


def _queues(rows: Rows, now: datetime) -> list[str]:
    return [
        f"{row['name']}  {row['waiting']} waiting{_oldest(row, now)}  {counted(row['consumers'], 'worker')}"
        for row in rows
    ]


def _oldest(row: Mapping[str, Any], now: datetime) -> str:
    if row["oldest"] is not None:
        return f", the oldest for {_age(row['oldest'], now)}"
    return f" (since when: {row['oldest_unknown']})" if row["oldest_unknown"] else ""


def _beat(rows: Rows, now: datetime) -> list[str]:
    lead = [f"{row['name']} leads for {_age(row['since'], now)}" for row in rows if row["leads"]]
    return (lead or ["none leads: no schedule is sent"]) + [
        row["trouble"] or f"{row['name']} stands by" for row in rows if not row["leads"]
    ]


def _schedules(rows: Rows, now: datetime) -> list[str]:
    late = [f"LATE  {row['name']}  was due {_age(row['due'], now)} ago" for row in rows if row["late"]]
    coming = [f"{row['name']}  {_coming(row['due'], now)}" for row in rows if not row["late"]]
    return [*late, *coming] or ["none is enabled"]


def _coming(due: datetime, now: datetime) -> str:
    return "now" if due <= now else f"in {_age(now, due)}"


def _failures(rows: Rows, now: datetime) -> list[str]:
    return [
        f"{row['task'] or row['id']}  {_age(row['at'], now)} ago  {row['error'] or ''}".rstrip() for row in rows
    ] or ["none"]


def _backups(rows: Rows, now: datetime) -> list[str]:
    return [
        f"{row['alias']} in {row['destination']}  {_age(row['finished'], now)} ago, {human_size(row['bytes'])}  "
        f"{_proof(row, now)}"
        for row in rows
    ] or ["none"]


def _proof(row: Mapping[str, Any], now: datetime) -> str:
    if row["verified"] is None:
        return "never verified"
    word = f"verified ({row['verified_level']})" if row["verified_ok"] else "DAMAGED, seen"
    return f"{word} {_age(row['verified'], now)} ago"


def _results(rows: Rows, now: datetime) -> list[str]:
    return [
        f"{human_size(row['bytes'])}{' (the whole database)' if row['of_whole_file'] else ''}"
        f"{', the newest ' + _age(row['newest'], now) + ' ago' if row['newest'] else ''}"
        for row in rows
    ] or ["not in tables"]


def _age(since: datetime, now: datetime) -> str:
    return _long(max(0.0, (now - since).total_seconds()))


def _long(seconds: float) -> str:
    return human_duration(round(seconds))


_WORDS: Final[dict[str, Callable[[Rows, datetime], list[str]]]] = {
    "workers": _workers,
    "queues": _queues,
    "beat": _beat,
    "schedules": _schedules,
    "failures": _failures,
    "backups": _backups,
    "results": _results,
}
