"""manage.py backup_media"""

from typing import Any

from django.core.management.base import CommandParser

from maintenance import conf
from maintenance.management import backup_flags, backup_run, backups
from maintenance.management.base import Command as BaseCommand


class Command(BaseCommand):
    help = "Back up the uploaded files (MEDIA_ROOT, or any storage) to the backup storages, as a tar stream."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group().add_argument
        which("--storage", nargs="+", action="extend", metavar="ALIAS", help="of STORAGES (default: BACKUPS.MEDIA)")
        which("--root", metavar="FOLDER", help="the files in this folder instead")
        text = "leave out the files whose paths match (* matches / too)"
        parser.add_argument("--exclude", nargs="+", action="extend", metavar="GLOB", default=[], help=text)
        backup_flags.add_flags(parser)

    def handle(self, *, storage: list[str] | None, root: str | None, **options: Any) -> None:
        how = backups.how(
            to=options["to"],
            encrypt=options["encrypt"],
            exclude=options["exclude"],
            max_seconds=options["max_seconds"],
            tag=options["tag"],
        )
        names = ["media"] if root else storage or conf.get().backups.media
        backup_run.back_up(self, names, lambda name: backups.media_plan(name, root=root, **how), options)
