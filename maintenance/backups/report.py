"""Backups in words and as documents."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from maintenance.units import counted, human_duration, human_size

from .manifest import Manifest
from .prune import Plan
from .retention import Decision
from .sidecars import Entry, Verified

_HEAD = ("ID", "DATABASE", "AGE", "SIZE", "RATIO", "VERIFIED", "TAG", "KEPT AS")
_LEVELS = {"hash": "hashed", "decode": "decoded", "restore": "restored"}


def table(decisions: Iterable[Decision], *, now: datetime) -> list[str]:
    """Return a heading and a line a backup, newest first."""
    rows = [_HEAD, *(_row(each, now) for each in reversed(list(decisions)))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def facts(decision: Decision, *, destination: str) -> dict[str, Any]:
    """Return a backup as the documents show it: its manifest, what was learnt since, what retention says."""
    entry = decision.entry
    kept = {"kept": list(decision.reasons), "goes": decision.removal}
    learnt = {"verified": entry.verified and asdict(entry.verified), "pinned": entry.pinned and asdict(entry.pinned)}
    return {**entry.manifest.facts(), "destination": destination, "ratio": round(_ratio(entry), 2), **learnt, **kept}


def why(plan: Plan, *, dry_run: bool) -> list[str]:
    """Return a line a backup, oldest first: kept as what, or removed why; and what is not counted."""
    goes = "would go" if dry_run else "goes"
    return [
        f"In {plan.destination.label!r}:",
        *(
            f"- {_name(one)} {goes}: {one.removal}" if one.goes else f"  {_name(one)} stays: {', '.join(one.reasons)}"
            for one in plan.decisions
        ),
        *(f"! {name} cannot be read, or its data is gone: left alone, not counted" for name in plan.unreadable),
    ]


def about(backup: Manifest, now: datetime) -> str:
    """Return a backup in words: which, of what, how old, how much."""
    counts = f", {contents(backup.tables)}" if backup.tables is not None else ""
    made = f"made {age(backup.started, now)} ago"
    return f"{backup.id} ({backup.alias}, {made}, {human_size(backup.plain_bytes)}{counts})"


def contents(tables: Mapping[str, int]) -> str:
    """Return rows by table in words: ``3 rows in 1 table``."""
    return f"{counted(sum(tables.values()), 'row')} in {counted(len(tables), 'table')}"


def age(moment: datetime, now: datetime) -> str:
    """Return how long ago a time was, in its two largest units."""
    return human_duration(max(0, round((now - moment).total_seconds())))


def _row(decision: Decision, now: datetime) -> tuple[str, ...]:
    backup = decision.entry.manifest
    return (
        backup.id,
        backup.alias,
        age(backup.started, now),
        human_size(backup.stored_bytes),
        f"{_ratio(decision.entry):.1f}x",
        _verified(decision.entry.verified, now),
        backup.tag or "-",
        ", ".join(decision.reasons) or f"goes: {decision.removal}",
    )


def _verified(found: Verified | None, now: datetime) -> str:
    if found is None:
        return "never"
    return f"{_LEVELS[found.level] if found.ok else 'DAMAGED'} {age(found.at, now)} ago"


def _ratio(entry: Entry) -> float:
    return entry.manifest.plain_bytes / max(1, entry.manifest.stored_bytes)


def _name(decision: Decision) -> str:
    backup = decision.entry.manifest
    return f"{backup.id} ({backup.alias}, {human_size(backup.stored_bytes)})"
