"""manage.py clear_sessions"""

from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils import timezone

from maintenance import sessions, units
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_json, value


class Command(BaseCommand):
    help = "Remove expired sessions: database rows in many short transactions, others as their engine does it."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--batch-size", type=value(units.whole), default=sessions.BATCH_SIZE, metavar="ROWS")
        add("--dry-run", action="store_true", help="only count")
        add_json(parser)

    def handle(self, *, batch_size: int, dry_run: bool, json: bool, **options: Any) -> None:
        engine, now = settings.SESSION_ENGINE, timezone.now()
        if dry_run:
            cleared = sessions.Cleared(engine, sessions.count(engine=engine, before=now), 0)
        else:
            cleared = sessions.clear(engine=engine, before=now, batch_size=batch_size)
        if json:
            self.document(dry_run=dry_run, **asdict(cleared))
        else:
            self.answer(_sentence(cleared, dry_run=dry_run))


def _sentence(cleared: sessions.Cleared, *, dry_run: bool) -> str:
    if cleared.deleted is None:
        did = "Would let" if dry_run else "Let"
        return f"{did} {cleared.engine!r} remove its expired sessions; it does not say how many."
    if dry_run:
        return f"Would delete {units.counted(cleared.deleted, 'expired session')}."
    batches = units.counted(cleared.batches, "batch", "batches")
    return f"Deleted {units.counted(cleared.deleted, 'expired session')} in {batches}."
