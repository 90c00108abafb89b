"""manage.py pin_backup"""

from typing import Any

from django.core.management.base import CommandParser
from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone

from maintenance.backups import pins, shelves
from maintenance.management import backup_flags, backups
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_json


class Command(BaseCommand):
    help = "Keep a backup whatever retention says, until unpin_backup."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID|latest", help="which backup")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, metavar="ALIAS", help="whose latest")
        parser.add_argument("--reason", default="", help="why, for others")
        backup_flags.add_to(parser)
        add_json(parser)

    def handle(self, *, id: str, database: str, to: list[str], reason: str, json: bool, **options: Any) -> None:
        places = shelves.find(shelves.look(backups.destinations(to)), id, alias=database)
        backup = pins.pin(places, reason=reason, now=timezone.now())
        if json:
            self.document(id=backup.id, pinned=True, reason=reason)
        else:
            self.answer(f"Pinned {backup.id} ({backup.alias}).")
