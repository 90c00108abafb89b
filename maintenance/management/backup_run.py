"""Making backups behind a command: one after the other, with a bar, and told."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from django.utils import timezone

from maintenance.backups import create, drill, several
from maintenance.backups.pulse import Watch
from maintenance.backups.shelves import Place
from maintenance.backups.sidecars import Entry
from maintenance.management.backup_words import foretell, tell
from maintenance.management.backups import LOCK_LIVES_FOR, means, new_holder
from maintenance.management.base import Command
from maintenance.management.transfer import progress


def back_up(
    command: Command, names: Iterable[str], plan: Callable[[str], create.Plan], options: Mapping[str, Any]
) -> None:
    """Make each backup, or with --dry-run foretell it, and say so. Raises what several.each raises."""
    dry_run, json = options["dry_run"], options["json"]
    facts: list[dict[str, Any]] = []
    holder = new_holder()

    def make(one: create.Plan) -> None:
        for warning in one.source.warnings:
            command.comment(f"Warning: {warning}")
        if dry_run:
            lines, fact = foretell(one)
        else:
            with progress(command, wanted=not json) as watch:
                made = create.create(one, holder=holder, ttl=LOCK_LIVES_FOR, clock=timezone.now, watch=watch)
                lines, fact = tell(made, one.source.label), made.facts()
                if options["verify"] != "none":
                    lines += [outcome.line() for outcome in _verified(made, one, options["verify"], watch)]
                    fact["verified"] = options["verify"]
        facts.append(fact)
        if not json:
            command.answer("\n".join(lines))

    try:
        several.each(names, plan, make)
    finally:
        if json and facts:
            command.document(dry_run=dry_run, backups=facts)


def _verified(made: create.Backup, plan: create.Plan, level: str, watch: Watch) -> Iterator[drill.Outcome]:
    for one in plan.destinations:
        yield drill.prove(Place(one, Entry(made.manifest)), means(level), clock=timezone.now, watch=watch)
