"""manage.py sync_schedules"""

from typing import Any

from django.core.management.base import CommandParser
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone

from maintenance.management.base import Command as BaseCommand
from maintenance.management.found import celery_app, require_beat_tables


class Command(BaseCommand):
    help = "Write the schedules of the settings into django-celery-beat's tables; other people's rows are left alone."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("-A", "--app", help="Celery app, as for celery -A (default: found by itself)")
        add("--database", default=DEFAULT_DB_ALIAS, choices=tuple(connections), help="alias of DATABASES")
        add("--dry-run", action="store_true", help="print what would change and write nothing")
        add("--json", action="store_true", help="print the plan as one JSON document")
        add("--noinput", "--no-input", action="store_false", dest="interactive", help="accepted; this never prompts")

    def handle(self, *, app: str | None, database: str, dry_run: bool, json: bool, **options: Any) -> None:
        require_beat_tables()
        from maintenance.schedules import apply, declared, plan, report, stored

        declaration = declared.read(celery_app(app).app)
        for warning in declaration.warnings:
            self.comment(f"Warning: {warning}")
        tables = stored.read(using=database) if not declaration.errors else stored.Stored()
        chosen = plan.diff(declaration.entries, tables) if not declaration.errors else plan.Plan()
        if json:
            self.document(**report.document(chosen, declaration))
        report.refuse(declaration)
        if not dry_run:
            apply.apply(chosen, stored=tables, using=database, now=timezone.now())
        if not json:
            self.answer("\n".join(report.explain(chosen, dry_run=dry_run)))
