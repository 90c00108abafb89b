"""manage.py unpin_backup"""

from typing import Any

from django.core.management.base import CommandParser
from django.db import DEFAULT_DB_ALIAS

from maintenance import conf
from maintenance.backups import catalog
from maintenance.backups.destination import writing
from maintenance.backups.sidecars import Pinned
from maintenance.management import backups
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_json


class Command(BaseCommand):
    help = "Let retention decide about a pinned backup again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID|latest", help="which backup")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, metavar="ALIAS", help="whose latest")
        add_json(parser)

    def handle(self, *, id: str, database: str, json: bool, **options: Any) -> None:
        where = backups.chosen(conf.get().backups)
        backup = catalog.read(where.storage).find(id, alias=database, where=where.label).manifest
        with writing(where):
            catalog.forget(where.storage, backup, Pinned)
        if json:
            self.document(id=backup.id, pinned=False)
        else:
            self.answer(f"Unpinned {backup.id} ({backup.alias}).")
