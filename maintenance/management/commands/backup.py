"""manage.py backup"""

from typing import Any

from django.core.management.base import CommandParser
from django.db import connections

from maintenance import conf
from maintenance.backups import create
from maintenance.management import backup_flags, backup_run, backups
from maintenance.management.base import Command as BaseCommand


class Command(BaseCommand):
    help = "Back up databases to the backup storages, and remove what exceeds BACKUPS.KEEP_LAST of each."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group().add_argument
        which("--database", nargs="+", action="extend", metavar="ALIAS", help="these (default: BACKUPS.DATABASES)")
        which("--all", action="store_true", help="every database of DATABASES")
        text = "leave out the rows of these tables (default: BACKUPS.EXCLUDE_TABLE_DATA)"
        parser.add_argument("--exclude-table-data", nargs="+", action="extend", metavar="GLOB", help=text)
        backup_flags.add_flags(parser)

    def handle(self, *, database: list[str] | None, **options: Any) -> None:
        how = backups.how(
            to=options["to"],
            encrypt=options["encrypt"],
            exclude=options["exclude_table_data"],
            max_seconds=options["max_seconds"],
            tag=options["tag"],
        )
        aliases = list(connections) if options["all"] else database or conf.get().backups.databases
        backup_run.back_up(self, aliases, lambda alias: create.plan(alias=alias, **how), options)
