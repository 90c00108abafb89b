"""manage.py prune_backups"""

from typing import Any

from django.core.management.base import CommandParser

from maintenance import conf
from maintenance.backups import prune, report, shelves
from maintenance.management import backup_flags, backups
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_json
from maintenance.units import counted, human_size


class Command(BaseCommand):
    help = (
        "Remove the backups that no rule keeps: of the settings' rules, or of the flags' when there is one. "
        "The newest, the newest verified and pinned ones always stay."
    )
    noinput = "do not ask"

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--database", nargs="+", action="extend", default=[], metavar="ALIAS", help="only of these")
        backup_flags.add_to(parser)
        backup_flags.add_rules(parser)
        add("--dry-run", action="store_true", help="only say what stays and what goes, and why")
        add_json(parser)

    def handle(self, *, dry_run: bool, json: bool, interactive: bool, **options: Any) -> None:
        rules = backups.rules(conf.get().backups, options)
        there = shelves.look(backups.destinations(options["to"]))
        plans = [prune.plan(shelf, rules=rules, aliases=options["database"]) for shelf in there]
        goes, freed = sum(len(plan.goes) for plan in plans), sum(plan.freed_bytes for plan in plans)
        count = f"{goes} of {counted(sum(len(plan.decisions) for plan in plans), 'backup')}, {human_size(freed)}"
        lines = [line for plan in plans for line in report.why(plan, dry_run=dry_run)]
        if goes and not dry_run:
            if interactive:
                self.comment("\n".join(lines))
            self.confirm(f"Remove {count}?", interactive=interactive)
            for plan in plans:
                prune.apply(plan)
        if json:
            facts = [
                report.facts(each, destination=plan.destination.label) for plan in plans for each in plan.decisions
            ]
            self.document(dry_run=dry_run, backups=facts, freed_bytes=freed)
        else:
            self.answer("\n".join([*lines, f"{'Would remove' if dry_run else 'Removed'} {count}."]))
