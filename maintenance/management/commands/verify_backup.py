"""manage.py verify_backup"""

from typing import Any

from django.core.management.base import CommandParser
from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone

from maintenance.backups import drill, shelves
from maintenance.backups.errors import SomeDamaged
from maintenance.backups.shelves import Place
from maintenance.backups.sidecars import LEVELS
from maintenance.management import backup_flags, backups, transfer
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_json, value
from maintenance.units import counted


class Command(BaseCommand):
    help = "Prove backups: by their hash, by reading the whole dump, or by restoring it into a scratch database."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("id", nargs="?", default="", metavar="ID|latest", help="which backup, from each destination")
        add("--all", action="store_true", help="all of --database, or of every database; goes on after a damaged one")
        add("--database", metavar="ALIAS", help=f"whose latest (default: {DEFAULT_DB_ALIAS})")
        add("--level", choices=LEVELS, default=LEVELS[-1], help="how far to go")
        add("--sample", type=value(drill.share), metavar="10%", help="with --all: those verified longest ago, so many")
        backup_flags.add_to(parser)
        add_json(parser)

    def handle(self, *, json: bool, level: str, **options: Any) -> None:
        means, outcomes = backups.means(level), []
        for place in self._places(**options):
            with transfer.progress(self, wanted=not json) as watch:
                outcome = drill.examine(place, means, clock=timezone.now, watch=watch)
            outcomes.append(outcome)
            if not json:
                self.answer(outcome.line())
        if json:
            self.document(level=level, backups=[outcome.facts() for outcome in outcomes])
        damaged = [outcome.place.entry.manifest.id for outcome in outcomes if not outcome.verified.ok]
        if damaged:
            count = counted(len(damaged), "backup is", "backups are")
            raise SomeDamaged(count=count, ids=", ".join(damaged))

    def _places(
        self, *, id: str, all: bool, database: str | None, sample: float | None, to: list[str], **options: Any
    ) -> tuple[Place, ...]:
        if bool(id) == all:
            raise drill.WhichBackup()
        there = shelves.look(backups.destinations(to))
        if id:
            return shelves.find(there, id, alias=database or DEFAULT_DB_ALIAS)
        aliases = [database] if database else ()
        every = [Place(one.destination, entry) for one in there for entry in one.catalog.matching(aliases=aliases)]
        return drill.choose(every, share=sample)
