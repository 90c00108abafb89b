"""A plan in words and as a document."""

from collections.abc import Iterable
from typing import Any

from .. import units
from ..errors import MaintenanceError
from .declared import Fault
from .entries import Entry
from .plan import Changes, Conflict, Plan
from .sync import Look

_CURES = {
    "unmanaged": "a schedule of this name that is not ours is left alone{changes}. "
    "Pass --adopt to take it over, or rename the entry.",
    "edited": "it was edited by hand, and the edit is kept{changes}. "
    "Pass --on-conflict code to overwrite it, or write the edit into the settings.",
}


class UnusableEntries(MaintenanceError):
    """{count} of the beat schedule cannot be used; nothing was written.{faults}"""


class Conflicts(MaintenanceError):
    """{count} in conflict; nothing was written.{conflicts}"""


def refuse(seen: Look) -> None:
    """Raise UnusableEntries, which lists every fault, or Conflicts where they count as errors."""
    errors, conflicts = seen.declaration.errors, seen.plan.conflicts
    if errors:
        count = units.counted(len({fault.name for fault in errors}), "entry", "entries")
        raise UnusableEntries(count=count, faults="".join(f"\n? {fault}" for fault in errors))
    if conflicts and seen.wishes.on_conflict == "error":
        count = units.counted(len(conflicts), "schedule is", "schedules are")
        raise Conflicts(count=count, conflicts="".join(f"\n{_conflict(each)}" for each in conflicts))


def explain(plan: Plan, *, dry_run: bool) -> list[str]:
    """Return a line a change (+ create, ~ update, - disable or delete, ! conflict) and their sum."""
    lines = [f"+ {entry.name}: {entry.task}, {entry.timing}" for entry in plan.create]
    lines += [f"~ {update.entry.name}: {_update(update.changes, update.adopted)}" for update in plan.update]
    lines += [f"- {row.entry.name}: left the settings, {_does('disable', dry_run)}" for row in plan.disable]
    lines += [f"- {row.entry.name}: left the settings, {_does('delete', dry_run)}" for row in plan.delete]
    lines += [_conflict(conflict) for conflict in plan.conflicts]
    counts = {"create": plan.create, "update": plan.update, "disable": plan.disable, "delete": plan.delete}
    did = ", ".join(f"{name if dry_run else f'{name}d'} {len(found)}" for name, found in counts.items())
    return [
        *lines,
        f"{f'Would {did}' if dry_run else did.capitalize()}; "
        f"{plan.unchanged} unchanged, {len(plan.conflicts)} in conflict, {len(plan.foreign)} not ours.",
    ]


def document(seen: Look) -> dict[str, Any]:
    """Return the plan as sync_schedules --json prints it (after schema_version)."""
    plan, declaration = seen.plan, seen.declaration
    return {
        "create": [_facts(entry) for entry in plan.create],
        "update": [{"name": update.entry.name, "changes": _pairs(update.changes)} for update in plan.update],
        "disable": [{"name": row.entry.name} for row in plan.disable],
        "delete": [{"name": row.entry.name} for row in plan.delete],
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


def _update(changes: Changes, adopted: bool) -> str:
    return ", ".join([*(["adopted"] if adopted else []), *([_words(changes)] if changes else [])])


def _conflict(conflict: Conflict) -> str:
    changes = f" ({_words(conflict.changes)})" if conflict.changes else ""
    return f"! {conflict.name}: {_CURES[conflict.kind].format(changes=changes)}"


def _does(verb: str, dry_run: bool) -> str:
    return f"to {verb}" if dry_run else f"{verb}d"


def _words(changes: Changes) -> str:
    return ", ".join(f"{name} {_word(old)} -> {_word(new)}" for name, (old, new) in changes.items())


def _word(value: object) -> str:
    return "none" if value is None or value == "" else str(value)
