"""Removing backups: a plan that says for each why it stays or goes, and its execution."""

from collections.abc import Collection
from dataclasses import dataclass

from . import catalog, retention, signals
from .destination import Destination, writing
from .manifest import Manifest
from .retention import Decision, Rules
from .shelves import Shelf


@dataclass(frozen=True)
class Plan:
    """What stays and what goes in a destination, oldest first; and what is left alone because it cannot be read."""

    destination: Destination
    decisions: tuple[Decision, ...]
    unreadable: tuple[str, ...]

    @property
    def goes(self) -> tuple[Decision, ...]:
        """The backups that are removed."""
        return tuple(decision for decision in self.decisions if decision.goes)

    @property
    def freed_bytes(self) -> int:
        """The stored bytes of what is removed."""
        return sum(decision.entry.manifest.stored_bytes for decision in self.goes)


@dataclass(frozen=True)
class Pruned:
    """What was removed from a destination."""

    destination: str
    removed: tuple[str, ...]
    freed_bytes: int


def plan(shelf: Shelf, *, rules: Rules, aliases: Collection[str] = ()) -> Plan:
    """Return what the rules say about the backups of a destination: of all databases, or of ``aliases`` only."""
    there = shelf.catalog
    unreadable = (*there.broken, *(backup.name for backup in there.lost))
    return Plan(shelf.destination, retention.decide(there.matching(aliases=aliases), rules), unreadable)


def apply(plan: Plan) -> Pruned:
    """Remove what ``plan`` lets go, the oldest first. Raises CannotWrite."""
    with writing(plan.destination):
        for decision in plan.goes:
            backup = decision.entry.manifest
            catalog.remove(plan.destination.storage, backup)
            signals.backup_pruned.send_robust(sender=Manifest, manifest=backup, destination=plan.destination)
    removed = tuple(decision.entry.manifest.id for decision in plan.goes)
    return Pruned(plan.destination.label, removed, plan.freed_bytes)
