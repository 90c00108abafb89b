"""manage.py list_backups"""

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from maintenance import conf
from maintenance.backups import catalog, prune, report
from maintenance.management import backups
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_json


class Command(BaseCommand):
    help = "List the backups: age, size, when each was verified, and what retention says of it. All can be restored."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--database", nargs="+", action="extend", default=[], metavar="ALIAS", help="only of these")
        add("--tag", default="", help="only those made with this tag")
        add_json(parser)

    def handle(self, *, database: list[str], tag: str, json: bool, **options: Any) -> None:
        given = conf.get().backups
        where = backups.chosen(given)
        there = catalog.read(where.storage)
        plan = prune.plan(destination=where, there=there, rules=backups.rules(given), aliases=database)
        shown = [each for each in plan.decisions if not tag or each.entry.manifest.tag == tag]
        if json:
            facts = [report.facts(each) for each in shown]
            self.document(destination=where.label, backups=facts, unreadable=list(plan.unreadable))
            return
        if shown:
            self.answer("\n".join(report.table(shown, now=timezone.now())))
        else:
            self.answer(f"No backups in {where.label!r}.")
        for name in plan.unreadable:
            self.comment(f"{name!r} cannot be read, or its data is gone: it is not listed.")
