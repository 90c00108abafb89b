"""manage.py purge_results"""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.management.base import CommandParser
from django.utils import timezone

from maintenance import conf, results, units
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_json, value


class Command(BaseCommand):
    help = "Delete old task and group results (django-celery-results) in many short transactions. Never asks."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--older-than", type=value(units.duration), metavar="TIME", help="as 7d (default: what settings keep)")
        add("--batch-size", type=value(units.whole), metavar="ROWS", help="rows a transaction (default: 5000)")
        add("--dry-run", action="store_true", help="only count")
        add_json(parser)

    def handle(
        self, *, older_than: timedelta | None, batch_size: int | None, dry_run: bool, json: bool, **options: Any
    ) -> None:
        given = conf.get().results
        expires = getattr(settings, "CELERY_RESULT_EXPIRES", results.expires_of(current_app))
        keeping = results.keeping(flag=older_than, setting=given.keep_for, expires=expires)
        before = keeping.before(timezone.now())
        if dry_run:
            purged = results.count(before=before)
        else:
            purged = results.purge(before=before, batch_size=batch_size or given.batch_size)
        if json:
            self.document(dry_run=dry_run, before=before, kept_by=keeping.source, **asdict(purged))
        else:
            self.answer(_sentence(purged, keeping, dry_run=dry_run))


def _sentence(purged: results.Purged, keeping: results.Keeping, *, dry_run: bool) -> str:
    if keeping.keep_for is None:
        return f"Nothing deleted: {keeping.source} keeps results for ever. Pass --older-than 7d to delete old ones."
    rows = (
        f"{units.counted(purged.task_results, 'task result')} and {units.counted(purged.group_results, 'group result')}"
    )
    age = f"older than {units.human_duration(keeping.keep_for)} ({keeping.source})"
    if dry_run:
        return f"Would delete {rows} {age}."
    return f"Deleted {rows} {age} in {units.counted(purged.batches, 'batch', 'batches')}."
