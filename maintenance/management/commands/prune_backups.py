"""manage.py prune_backups"""

from typing import Any

from django.core.management.base import CommandParser

from maintenance import conf
from maintenance.backups import catalog, prune, report
from maintenance.management import backups
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_json
from maintenance.units import counted, human_size


class Command(BaseCommand):
    help = (
        "Remove the backups that no rule keeps: those of the settings, or those of the flags when there is one. "
        "The newest, the newest verified and pinned ones always stay."
    )
    noinput = "do not ask"

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--database", nargs="+", action="extend", default=[], metavar="ALIAS", help="only of these")
        backups.add_rules(parser)
        add("--dry-run", action="store_true", help="only say what stays and what goes, and why")
        add_json(parser)

    def handle(self, *, database: list[str], dry_run: bool, json: bool, interactive: bool, **options: Any) -> None:
        given = conf.get().backups
        where = backups.chosen(given)
        there = catalog.read(where.storage)
        plan = prune.plan(destination=where, there=there, rules=backups.rules(given, options), aliases=database)
        count = f"{len(plan.goes)} of {counted(len(plan.decisions), 'backup')}, {human_size(plan.freed_bytes)}"
        if plan.goes and not dry_run:
            if interactive:
                self.comment("\n".join(report.why(plan.decisions, dry_run=True)))
            self.confirm(f"Remove {count}?", interactive=interactive)
            prune.apply(plan)
        if json:
            facts = [report.facts(each) for each in plan.decisions]
            self.document(dry_run=dry_run, destination=where.label, backups=facts, freed_bytes=plan.freed_bytes)
            return
        lines = report.why(plan.decisions, dry_run=dry_run)
        self.answer("\n".join([*lines, f"{'Would remove' if dry_run else 'Removed'} {count}."]))
        for name in plan.unreadable:
            self.comment(f"{name!r} cannot be read, or its data is gone: it is left alone and not counted.")
