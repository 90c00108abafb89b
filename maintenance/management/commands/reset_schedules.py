"""manage.py reset_schedules"""

from typing import Any

from django.core.management.base import CommandParser
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone

from maintenance import conf, kinds, lease
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
        if resets.touched and not dry_run:
            if interactive:
                ask = f"This resets {resets.count}. Stop beat first: it writes its own back."
                self.comment("\n".join([*reset.explain(resets), ask]))
            self.confirm("Reset them?", interactive=interactive)
            reset.apply(resets, holder=lease.this_process(), using=database, now=timezone.now())
        if json:
            self.document(**reset.document(resets), applied=not dry_run)
        else:
            did = "Would reset" if dry_run else "Reset"
            self.answer("\n".join([*reset.explain(resets), f"{did} {resets.count}."]))


def _declared_zones() -> dict[str, str]:
    """Return the zone of each declared crontab; nothing where the project has no Celery app."""
    from maintenance.schedules import gather

    try:
        return gather.zones(gather.read(celery_app().app, extras=conf.get().schedules))
    except ConfigurationError:
        return {}
