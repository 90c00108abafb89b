"""manage.py pin_backup"""

from typing import Any

from django.core.management.base import CommandParser
from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone

from maintenance import conf
from maintenance.backups import catalog
from maintenance.backups.destination import writing
from maintenance.backups.sidecars import Pinned
from maintenance.management import backups
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_json


class Command(BaseCommand):
    help = "Keep a backup whatever retention says, until unpin_backup."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID|latest", help="which backup")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, metavar="ALIAS", help="whose latest")
        parser.add_argument("--reason", default="", help="why, for others")
        add_json(parser)

    def handle(self, *, id: str, database: str, reason: str, json: bool, **options: Any) -> None:
        where = backups.chosen(conf.get().backups)
        backup = catalog.read(where.storage).find(id, alias=database, where=where.label).manifest
        with writing(where):
            catalog.note(where.storage, backup, Pinned(timezone.now(), reason))
        if json:
            self.document(id=backup.id, pinned=True, reason=reason)
        else:
            self.answer(f"Pinned {backup.id} ({backup.alias}).")
