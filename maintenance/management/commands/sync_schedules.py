"""manage.py sync_schedules"""

from typing import Any

from django.core.management.base import CommandParser
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone

from maintenance import conf
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_app, add_json
from maintenance.management.found import celery_app, require_beat_tables

STYLES = {"+": "SUCCESS", "~": "WARNING", "-": "ERROR", "!": "NOTICE"}


class Command(BaseCommand):
    help = "Write the schedules of the settings into django-celery-beat's tables; other people's rows are left alone."
    noinput = "do not ask before deleting"

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add_app(parser)
        add("--database", default=DEFAULT_DB_ALIAS, choices=tuple(connections), help="alias of DATABASES")
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
        from maintenance.schedules import apply, declared, plan, report, select, stored

        only, looking = options["only"], options["dry_run"] or options["check"]
        declaration = declared.read(celery_app(app).app, extras=conf.get().schedules).only(only)
        for warning in declaration.warnings:
            self.comment(f"Warning: {warning}")
        tables = stored.read(using=database) if not declaration.errors else stored.Stored()
        chosen = plan.Plan()
        if not declaration.errors:
            select.known(only, among=[*(entry.name for entry in declaration.entries), *tables.rows, *tables.owned])
            how = {name: options[name] for name in ("prune", "on_conflict", "adopt")}
            replaced = declaration.replaces_cleanup
            chosen = plan.diff(declaration.entries, tables, only=only, replaces_cleanup=replaced, **how)
        if json:
            self.document(**report.document(chosen, declaration))
        report.refuse(declaration)
        if options["on_conflict"] == "error":
            report.refuse_conflicts(chosen)
        if not looking:
            if chosen.delete and interactive:
                self.comment("\n".join(report.explain(chosen, dry_run=True)))
                self.confirm(f"Delete {len(chosen.delete)}?", interactive=interactive)
            apply.apply(chosen, stored=tables, using=database, now=timezone.now())
        if not json:
            for line in report.explain(chosen, dry_run=looking):
                self.answer(getattr(self.style, STYLES.get(line[:2].strip(), ""), str)(line))
        if options["check"] and chosen.pending:
            raise SystemExit(3)
