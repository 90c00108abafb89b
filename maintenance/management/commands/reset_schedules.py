"""manage.py reset_schedules"""

from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone

from maintenance import conf, kinds
from maintenance.errors import ConfigurationError
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_json, value
from maintenance.management.found import celery_app, require_beat_tables


class Command(BaseCommand):
    help = "After a change of time zone: forget last runs and move crontabs, so that beat computes next runs afresh."
    noinput = "do not ask"

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--from", dest="leave", type=value(kinds.zone), metavar="ZONE", help="only the crontabs in this zone")
        add(
            "--to",
            type=value(kinds.zone),
            metavar="ZONE",
            help="move all of them there (default: ours, as declared)",
        )
        add("--only", nargs="+", action="extend", default=[], metavar="NAME", help="only these schedules")
        add("--database", default=DEFAULT_DB_ALIAS, choices=tuple(connections), help="alias of DATABASES")
        add("--dry-run", action="store_true", help="print what would be reset and write nothing")
        add_json(parser)

    def handle(self, *, database: str, dry_run: bool, interactive: bool, json: bool, **options: Any) -> None:
        require_beat_tables()
        from maintenance.schedules import reset

        how = {name: options[name] for name in ("only", "leave", "to")}
        resets = reset.plan(**how, zones=_declared_zones(), now=timezone.now(), using=database)
        lines = [f"~ {move.name}: {' -> '.join(move.zones)}, next run {_arrow(move.next_run)}" for move in resets.moves]
        lines += [f"~ {name}: last run forgotten" for name in resets.names]
        touched = {*resets.names, *(move.name for move in resets.moves)}
        count = f"{len(touched)} of {resets.selected} schedules"
        if touched and not dry_run:
            if interactive:
                self.comment("\n".join([*lines, f"This resets {count}. Stop beat first: it writes its own back."]))
            self.confirm("Reset them?", interactive=interactive)
            reset.apply(resets, using=database, now=timezone.now())
        if json:
            moves = [{"name": each.name, "zone": each.zones, "next_run": each.next_run} for each in resets.moves]
            self.document(reset=list(resets.names), moved=moves, selected=resets.selected, applied=not dry_run)
        else:
            self.answer("\n".join([*lines, f"{'Would reset' if dry_run else 'Reset'} {count}."]))


def _declared_zones() -> dict[str, str]:
    """Return the zone of each declared crontab; nothing where the project has no Celery app."""
    from maintenance.schedules import declared

    try:
        return declared.zones(declared.read(celery_app().app, extras=conf.get().schedules))
    except ConfigurationError:
        return {}


def _arrow(runs: tuple[datetime | None, datetime | None]) -> str:
    return " -> ".join(run.isoformat() if run else "never" for run in runs)
