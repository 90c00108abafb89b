"""What is said about backups that were made, or would be."""

from collections.abc import Iterable
from typing import Any

from django.utils import timezone

from maintenance.backups import create
from maintenance.units import counted, human_size


def foretell(plan: create.Plan) -> tuple[list[str], dict[str, Any]]:
    """Return what --dry-run says about ``plan``, and the same as facts."""
    source, removes = plan.source, create.foresee(plan, now=timezone.now())
    size = "" if source.size_bytes is None else f", about {human_size(source.size_bytes)}"
    secret = f", encrypted to {counted(len(plan.recipients), 'key')}" if plan.recipients else ""
    where = _listed(one.label for one in plan.destinations)
    lines = [f"Would back up {source.alias!r} ({source.label}{size}) to {where}{secret}."]
    lines += [f"Would remove the older backup {id_}." for id_ in removes]
    facts = {"alias": source.alias, "engine": source.engine, "plain_bytes": source.size_bytes}
    return lines, {**facts, "removed": removes, "warnings": source.warnings}


def tell(made: create.Backup, label: str) -> list[str]:
    """Return what is said about a backup that was made."""
    backup = made.manifest
    rows = ""
    if backup.tables is not None:
        unit = ("table", "row") if backup.kind == "database" else ("folder", "file")
        rows = f", {counted(sum(backup.tables.values()), unit[1])} in {counted(len(backup.tables), unit[0])}"
    secret = ", encrypted" if backup.encryption else ""
    stored = f"{human_size(backup.stored_bytes)}{secret} in {_listed(made.destinations)}"
    content = f"{label}, {human_size(backup.plain_bytes)}{rows}"
    lines = [f"Backed up {backup.alias!r} ({content}) as {backup.id}: {stored}."]
    if made.swept:
        lines.append(f"Swept leftovers of killed runs: {made.swept}.")
    lines += [f"Removed the older backup {id_}." for id_ in made.removed]
    lines += [
        f"The manifest {name!r} cannot be read: its backup is left alone and not counted." for name in made.broken
    ]
    return lines


def _listed(labels: Iterable[str]) -> str:
    return ", ".join(map(repr, labels))
