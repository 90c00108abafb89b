"""manage.py list_backups"""

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from maintenance import conf
from maintenance.backups import prune, report, shelves
from maintenance.management import backup_flags, backups
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_json


class Command(BaseCommand):
    help = "List the backups: age, size, when each was verified, and what retention says of it. All can be restored."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--database", nargs="+", action="extend", default=[], metavar="ALIAS", help="only of these")
        add("--tag", default="", help="only those made with this tag")
        backup_flags.add_to(parser)
        add_json(parser)

    def handle(self, *, database: list[str], to: list[str], tag: str, json: bool, **options: Any) -> None:
        rules, facts, unreadable = backups.rules(conf.get().backups), [], []
        for shelf in shelves.look(backups.destinations(to)):
            label = shelf.destination.label
            plan = prune.plan(shelf, rules=rules, aliases=database)
            shown = [each for each in plan.decisions if not tag or each.entry.manifest.tag == tag]
            facts += [report.facts(each, destination=label) for each in shown]
            unreadable += [{"destination": label, "name": name} for name in plan.unreadable]
            if not json:
                where = f"In {label!r}:" if shown else f"No backups in {label!r}."
                self.answer("\n".join([where, *(report.table(shown, now=timezone.now()) if shown else ())]))
                for name in plan.unreadable:
                    self.comment(f"{name!r} cannot be read, or its data is gone: it is not listed.")
        if json:
            self.document(backups=facts, unreadable=unreadable)
