"""manage.py clear_cache"""

from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils import timezone

from maintenance import caches, conf
from maintenance.caches import report
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_app, add_json
from maintenance.management.found import celery_app


class Command(BaseCommand):
    help = "Clear caches; refused for one that shares its Redis database or its entries with queue, results or others."
    noinput = "with --force-shared: do not ask"

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--alias", nargs="+", action="extend", metavar="ALIAS", help="these (default: CACHES.CLEAR)")
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--prefix", nargs="?", const="", metavar="P", help="only the keys of this prefix (default: its KEY_PREFIX)"
        )
        what.add_argument("--pattern", metavar="GLOB", help="only keys of its KEY_PREFIX that match, as 'user:*'")
        what.add_argument("--expired", action="store_true", help="only what has expired (database and file caches)")
        add("--force-shared", action="store_true", help="delete what shares with it too, sessions and queues included")
        add("--dry-run", action="store_true", help="only count")
        add_app(parser)
        add_json(parser)

    def handle(self, *, expired: bool, dry_run: bool, json: bool, **options: Any) -> None:
        # What has expired is nobody's: all caches, not only those that may be emptied.
        aliases = options["alias"] or (tuple(settings.CACHES) if expired else conf.get().caches.clear)
        if expired:
            done: Any = caches.cull(aliases, configured=settings.CACHES, now=timezone.now(), dry_run=dry_run)
        else:
            done = self._clear(self._plan(aliases, **options), dry_run=dry_run, **options)
        if json:
            self.document(dry_run=dry_run, caches=[asdict(each) for each in done])
            return
        for each in done:
            self.answer(report.culled(each, dry_run=dry_run) if expired else report.cleared(each, dry_run=dry_run))

    def _plan(self, aliases: Any, **options: Any) -> tuple[caches.Step, ...]:
        return caches.plan(
            aliases=aliases,
            configured=settings.CACHES,
            residents=caches.residents(celery_app(options["app"]).app, settings=settings),
            prefix=options["prefix"],
            pattern=options["pattern"],
            force=options["force_shared"],
        )

    def _clear(self, steps: tuple[caches.Step, ...], *, dry_run: bool, **options: Any) -> tuple[caches.Step, ...]:
        if dry_run:
            return caches.count(steps)
        for step in steps:
            if step.shared:
                with_it = " and ".join(step.shared)
                self.confirm(f"Clear {step.alias!r}, and with it {with_it}?", interactive=options["interactive"])
        return caches.clear(steps)
