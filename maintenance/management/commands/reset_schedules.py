"""manage.py reset_schedules"""

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from maintenance import kinds
from maintenance.management import schedules
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_database, add_json, value
from maintenance.management.found import require_beat_tables


class Command(BaseCommand):
    help = "After a change of time zone: forget last runs and move crontabs, so that beat computes next runs afresh."
    noinput = "do not ask"

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--from", dest="leave", type=value(kinds.zone), metavar="ZONE", help="only the crontabs in this zone")
        add("--to", type=value(kinds.zone), metavar="ZONE", help="move all of them there (default: ours, as declared)")
        add("--only", nargs="+", action="extend", default=[], metavar="NAME", help="only these schedules")
        add_database(parser)
        add("--dry-run", action="store_true", help="print what would be reset and write nothing")
        add_json(parser)

    def handle(self, *, database: str, dry_run: bool, interactive: bool, json: bool, **options: Any) -> None:
        require_beat_tables()
        from maintenance.schedules import reset

        how = {name: options[name] for name in ("only", "leave", "to")}
        resets = reset.plan(**how, zones=schedules.declared_zones(), now=timezone.now(), using=database)
        if resets.touched and not dry_run:
            schedules.apply_resets(self, resets, using=database, interactive=interactive)
        if json:
            self.document(**reset.document(resets), applied=not dry_run)
        else:
            did = "Would reset" if dry_run else "Reset"
            self.answer("\n".join([*reset.explain(resets), f"{did} {resets.count}."]))
