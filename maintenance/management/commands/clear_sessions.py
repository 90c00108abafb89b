"""manage.py clear_sessions"""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils import timezone

from maintenance import sessions, units
from maintenance.batches import Pace
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_json, value
from maintenance.management.progress import bar
from maintenance.management.stopping import stopping


class Command(BaseCommand):
    help = "Remove expired sessions: database rows in many short transactions, others as their engine does it."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add(
            "--batch-size",
            type=value(units.whole),
            default=sessions.BATCH_SIZE,
            metavar="ROWS",
            help="rows a transaction at most",
        )
        add("--max-seconds", type=value(units.duration), metavar="TIME", help="stop after this time, status 75")
        add("--dry-run", action="store_true", help="only count")
        add_json(parser)

    def handle(self, *, dry_run: bool, json: bool, **options: Any) -> None:
        engine, now = settings.SESSION_ENGINE, timezone.now()
        if dry_run:
            cleared = sessions.Cleared(engine, sessions.count(engine=engine, before=now), 0)
        else:
            cleared = self._clear(engine, now, **options)
        if json:
            self.document(dry_run=dry_run, **asdict(cleared), complete=cleared.complete)
        else:
            self.answer(_sentence(cleared, dry_run=dry_run))
        if not cleared.complete:
            raise sessions.Unfinished(why=cleared.stopped, deleted=cleared.deleted)

    def _clear(self, engine: str, now: datetime, *, max_seconds: timedelta | None, **options: Any) -> sessions.Cleared:
        def total() -> int:
            return sessions.count(engine=engine, before=now) or 0

        what, quiet = "Deleting expired sessions", not self.verbosity
        with (
            stopping() as asked_to_stop,
            bar(self.stderr, what=what, total=total, no_color=options["no_color"], quiet=quiet) as tell,
        ):
            pace = Pace(
                size=options["batch_size"],
                rest=sessions.usual_rest(engine),
                seconds=None if max_seconds is None else max_seconds.total_seconds(),
                stopped=asked_to_stop,
            )
            return sessions.clear(engine=engine, before=now, pace=pace, tell=tell)


def _sentence(cleared: sessions.Cleared, *, dry_run: bool) -> str:
    if cleared.deleted is None:
        did = "Would let" if dry_run else "Let"
        return f"{did} {cleared.engine!r} remove its expired sessions; it does not say how many."
    if dry_run:
        return f"Would delete {units.counted(cleared.deleted, 'expired session')}."
    batches = units.counted(cleared.batches, "batch", "batches")
    return f"Deleted {units.counted(cleared.deleted, 'expired session')} in {batches}."
