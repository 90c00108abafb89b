"""manage.py vacuum"""

from typing import Any

from django.core.management.base import CommandParser

from maintenance import space, units
from maintenance.management import emptied
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_database, add_json


class Command(BaseCommand):
    help = "Give the space of deleted rows back: SQLite's whole file (prompts: nobody can write), else cleaned tables."
    noinput = "do not ask on SQLite"

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add_database(parser)
        add("--dry-run", action="store_true", help="only say how much is in use, and how much of it is free")
        add_json(parser)

    def handle(self, *, database: str, dry_run: bool, interactive: bool, json: bool, **options: Any) -> None:
        tables, alone = emptied.tables(database), space.blocks_writers(database)
        what = f"{database!r}" if alone else f"{units.counted(len(tables), 'table')} of {database!r}"
        if dry_run:
            found = space.measure(tables, using=database)
            facts: dict[str, Any] = {"database": database, "tables": tables, "before_bytes": found.bytes}
            free = "" if found.free_bytes is None else f", {units.human_size(found.free_bytes)} of them free"
            words = f"Would vacuum {what}: {units.human_size(found.bytes)} are in use{free}."
            facts |= {"free_bytes": found.free_bytes, "blocks_writers": alone}
        else:
            if alone:
                self.confirm("VACUUM lets nobody else write until it is done. Go on?", interactive=interactive)
            freed = space.vacuum(tables, using=database)
            facts, words = freed.facts(), f"Vacuumed {what}. {freed.words}"
        if json:
            self.document(dry_run=dry_run, **facts)
        else:
            self.answer(words)
