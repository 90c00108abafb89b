"""manage.py unpin_backup"""

from typing import Any

from django.core.management.base import CommandParser
from django.db import DEFAULT_DB_ALIAS

from maintenance.backups import pins, shelves
from maintenance.management import backup_flags, backups
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_json


class Command(BaseCommand):
    help = "Let retention decide about a pinned backup again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID|latest", help="which backup")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, metavar="ALIAS", help="whose latest")
        backup_flags.add_to(parser)
        add_json(parser)

    def handle(self, *, id: str, database: str, to: list[str], json: bool, **options: Any) -> None:
        backup = pins.unpin(shelves.find(shelves.look(backups.destinations(to)), id, alias=database))
        if json:
            self.document(id=backup.id, pinned=False)
        else:
            self.answer(f"Unpinned {backup.id} ({backup.alias}).")
