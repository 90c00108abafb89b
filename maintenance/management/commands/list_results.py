"""manage.py list_results"""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from maintenance import units
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_database, add_json, value
from maintenance.results import listing
from maintenance.results.retention import ago


class Command(BaseCommand):
    help = "List task results, newest first: when, how it ended, how long it ran, its task, its id, its error."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--failed", action="store_true", help="only failures")
        add("--task", nargs="+", default=(), metavar="GLOB", help="only of these tasks, as 'app.tasks.*'")
        add("--since", type=value(units.duration), metavar="TIME", help="only of so long ago, as 24h")
        add("--schedule", metavar="NAME", help="only runs of this schedule")
        add("--limit", type=value(units.whole), default=20, metavar="N", help="at most so many (default: 20)")
        add_database(parser, default=None)
        add_json(parser)

    def handle(self, *, since: timedelta | None, limit: int, json: bool, **options: Any) -> None:
        rows = listing.select(
            since=None if since is None else ago(since, timezone.now()),
            failed=options["failed"],
            tasks=options["task"],
            schedule=options["schedule"],
            using=options["database"],
        )
        found = listing.read(rows, limit=limit)
        if json:
            self.document(results=[asdict(each) for each in found])
        else:
            self.answer("\n".join(_line(each) for each in found) or "No results.")


def _line(each: listing.Listed) -> str:
    took = "-" if each.seconds is None else units.human_duration(each.seconds)
    at = timezone.localtime(each.at) if timezone.is_aware(each.at) else each.at
    error = f"  {each.error}" if each.error else ""
    return f"{at:%Y-%m-%d %H:%M:%S}  {each.status:<8} {took:>8}  {each.task or '(no name)'}  {each.id}{error}"
