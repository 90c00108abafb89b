"""manage.py verify_backup"""

from functools import partial
from typing import Any

from django.core.management.base import CommandParser
from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone

from maintenance import conf
from maintenance.backups import catalog, drill
from maintenance.backups.errors import SomeDamaged
from maintenance.backups.sidecars import LEVELS
from maintenance.management import backups
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_json, value
from maintenance.units import counted


class Command(BaseCommand):
    help = "Prove backups: by their hash, by reading the whole dump, or by restoring it into a scratch database."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("id", nargs="?", default="", metavar="ID|latest", help="which backup")
        add("--all", action="store_true", help="all of --database, or of every database; goes on after a damaged one")
        add("--database", metavar="ALIAS", help=f"whose latest (default: {DEFAULT_DB_ALIAS})")
        add("--level", choices=LEVELS, default=LEVELS[-1], help="how far to go")
        add("--sample", type=value(drill.share), metavar="10%", help="with --all: those verified longest ago, so many")
        add_json(parser)

    def handle(self, *, id: str, database: str | None, level: str, json: bool, **options: Any) -> None:
        if bool(id) == options["all"]:
            raise drill.WhichBackup()
        given = conf.get().backups
        where = backups.chosen(given)
        there = catalog.read(where.storage)
        if options["all"]:
            entries = drill.choose(there.matching(aliases=[database] if database else ()), share=options["sample"])
        else:
            entries = (there.find(id, alias=database or DEFAULT_DB_ALIAS, where=where.label),)
        outcomes = []
        prove = partial(drill.prove, where, level=level, identity=given.identity, using=given.scratch or "")
        for entry in entries:
            outcome = prove(entry.manifest, clock=timezone.now)
            outcomes.append(outcome)
            if not json:
                self.answer(outcome.line())
        if json:
            self.document(level=level, backups=[outcome.facts() for outcome in outcomes])
        damaged = [outcome.id for outcome in outcomes if not outcome.verified.ok]
        if damaged:
            count = counted(len(damaged), "backup is", "backups are")
            raise SomeDamaged(count=count, ids=", ".join(damaged))
