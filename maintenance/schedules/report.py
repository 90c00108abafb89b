"""A plan in words and as a document."""

from collections.abc import Iterable
from typing import Any

from ..errors import MaintenanceError
from .declared import Declaration, Fault
from .entries import Entry
from .plan import Changes, Plan


class UnusableEntries(MaintenanceError):
    """{count} of the beat schedule cannot be used; nothing was written.{faults}"""


def refuse(declaration: Declaration) -> None:
    """Raise UnusableEntries, which lists every fault, when there is one."""
    if declaration.errors:
        names = {fault.name for fault in declaration.errors}
        count = "1 entry" if len(names) == 1 else f"{len(names)} entries"
        raise UnusableEntries(count=count, faults="".join(f"\n? {fault}" for fault in declaration.errors))


def explain(plan: Plan, *, dry_run: bool) -> list[str]:
    """Return a line a change (+ create, ~ update, - disable, ! conflict) and their sum."""
    lines = [f"+ {entry.name}: {entry.task}, {entry.timing}" for entry in plan.create]
    lines += [f"~ {update.entry.name}: {_words(update.changes)}" for update in plan.update]
    lines += [f"- {row.entry.name}: left the settings" for row in plan.disable]
    lines += [
        f"! {conflict.name}: a schedule of this name that is not ours is left alone ({_words(conflict.changes)}). "
        "Rename the entry, or delete the schedule in the admin and sync again."
        for conflict in plan.conflicts
    ]
    did = "Would create" if dry_run else "Created"
    return [
        *lines,
        f"{did} {len(plan.create)}, {'update' if dry_run else 'updated'} {len(plan.update)}, "
        f"{'disable' if dry_run else 'disabled'} {len(plan.disable)}; "
        f"{plan.unchanged} unchanged, {len(plan.conflicts)} in conflict, {len(plan.foreign)} not ours.",
    ]


def document(plan: Plan, declaration: Declaration) -> dict[str, Any]:
    """Return the plan as sync_schedules --json prints it (after schema_version)."""
    return {
        "create": [_facts(entry) for entry in plan.create],
        "update": [{"name": update.entry.name, "changes": _pairs(update.changes)} for update in plan.update],
        "disable": [{"name": row.entry.name} for row in plan.disable],
        "delete": [],
        "unchanged": plan.unchanged,
        "conflicts": [
            {"name": conflict.name, "kind": conflict.kind, "changes": _pairs(conflict.changes)}
            for conflict in plan.conflicts
        ],
        "foreign": [{"name": name} for name in plan.foreign],
        "errors": _faults(declaration.errors),
        "warnings": _faults(declaration.warnings),
    }


def _facts(entry: Entry) -> dict[str, Any]:
    return {"name": entry.name, "task": entry.task, "schedule": str(entry.timing)}


def _faults(faults: Iterable[Fault]) -> list[dict[str, str]]:
    return [{"name": fault.name, "problem": fault.problem, "cure": fault.cure} for fault in faults]


def _pairs(changes: Changes) -> dict[str, list[object]]:
    return {name: [old, new] for name, (old, new) in changes.items()}


def _words(changes: Changes) -> str:
    return ", ".join(f"{name} {_word(old)} -> {_word(new)}" for name, (old, new) in changes.items())


def _word(value: object) -> str:
    return "none" if value is None else str(value)
