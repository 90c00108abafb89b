"""manage.py sync_schedules"""

from typing import Any

from django.core.management.base import CommandParser

from maintenance.management import schedules
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_app, add_database, add_json
from maintenance.management.found import require_beat_tables


class Command(BaseCommand):
    help = "Write the schedules of the settings into django-celery-beat's tables; other people's rows are left alone."
    noinput = "do not ask before deleting"

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add_app(parser)
        add_database(parser)
        look = parser.add_mutually_exclusive_group()
        look.add_argument("--dry-run", action="store_true", help="print what would change and write nothing")
        look.add_argument("--check", action="store_true", help="the same, and end with 3 when something would change")
        for flag, choices, text in (
            ("--prune", ("disable", "delete", "keep"), "what happens to schedules of ours that left the settings"),
            ("--on-conflict", ("db", "code", "error"), "who wins where somebody edited a schedule of ours by hand"),
        ):
            add(flag, choices=choices, default=choices[0], help=text)
        add("--only", nargs="+", action="extend", default=[], metavar="NAME", help="only the entries of these names")
        add("--adopt", action="store_true", help="take over schedules of the entries' names that are not ours")
        add_json(parser, "print the plan as one JSON document")

    def handle(self, *, app: str | None, database: str, json: bool, interactive: bool, **options: Any) -> None:
        require_beat_tables()
        from maintenance.schedules import report, sync

        looking = options["dry_run"] or options["check"]
        wishes = sync.Wishes(**{name: options[name] for name in ("prune", "on_conflict", "adopt", "only")})
        declaration = schedules.declared(app).only(wishes.only)
        for warning in declaration.warnings:
            self.comment(f"Warning: {warning}")
        seen = sync.look(declaration, wishes, using=database)
        try:
            report.refuse(seen)
            if not looking:
                seen = schedules.write(self, seen, using=database, interactive=interactive)
        finally:
            if json:
                self.document(**report.document(seen))
        for line in () if json else report.explain(seen.plan, dry_run=looking):
            self.answer(schedules.painted(line, self.style))
        if options["check"] and seen.plan.pending:
            raise SystemExit(3)
