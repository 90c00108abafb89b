"""manage.py reset_schedules"""

from typing import Any

from django.core.management.base import CommandParser
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone

from maintenance.management.base import Command as BaseCommand
from maintenance.management.found import require_beat_tables


class Command(BaseCommand):
    help = "Forget when schedules last ran, so that beat computes their next run afresh (after a change of time zone)."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--only", nargs="+", action="extend", default=[], metavar="NAME", help="only these schedules")
        add("--database", default=DEFAULT_DB_ALIAS, choices=tuple(connections), help="alias of DATABASES")
        add("--dry-run", action="store_true", help="print what would be reset and write nothing")
        add("--noinput", "--no-input", action="store_false", dest="interactive", help="do not ask")
        add("--json", action="store_true", help="print one JSON document")

    def handle(
        self, *, only: list[str], database: str, dry_run: bool, interactive: bool, json: bool, **options: Any
    ) -> None:
        require_beat_tables()
        from maintenance.schedules import reset

        resets = reset.plan(only=only, using=database)
        lines = [f"~ {name}: last run forgotten" for name in resets.names]
        count = f"{len(resets.names)} of {resets.selected} schedules"
        if resets.names and not dry_run:
            if interactive:
                self.comment("\n".join([*lines, f"This resets {count}. Stop beat first: it writes its own back."]))
            self.confirm("Reset them?", interactive=interactive)
            reset.apply(resets, using=database, now=timezone.now())
        if json:
            self.document(reset=list(resets.names), selected=resets.selected, applied=not dry_run)
        else:
            self.answer("\n".join([*lines, f"{'Would reset' if dry_run else 'Reset'} {count}."]))
