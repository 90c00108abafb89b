"""manage.py clear_cache"""

from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from maintenance import caches, conf
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_json
from maintenance.management.found import celery_app


class Command(BaseCommand):
    help = "Clear caches; refused for one that shares its Redis database with Celery's broker or result backend."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--alias", nargs="+", action="extend", metavar="ALIAS", help="these (default: CACHES.CLEAR)")
        add("--by-prefix", action="store_true", help="clear those that share key by key, by their KEY_PREFIX")
        add("--dry-run", action="store_true", help="only say what would be cleared")
        add_json(parser)

    def handle(self, *, alias: list[str] | None, by_prefix: bool, dry_run: bool, json: bool, **options: Any) -> None:
        steps = caches.plan(
            aliases=alias or conf.get().caches.clear,
            configured=settings.CACHES,
            tenants=caches.tenants(celery_app().app),
            by_prefix=by_prefix,
        )
        if not dry_run:
            steps = caches.clear(steps)
        if json:
            self.document(dry_run=dry_run, caches=[asdict(step) for step in steps])
            return
        count = "1 cache" if len(steps) == 1 else f"{len(steps)} caches"
        self.answer(f"{'Would clear' if dry_run else 'Cleared'} {count}: {', '.join(map(_words, steps))}.")


def _words(step: caches.Step) -> str:
    if step.prefix is not None:
        keys = "keys" if step.keys is None else f"{step.keys} keys"
        return f"{step.alias!r} ({step.backend}, {keys} with prefix {step.prefix!r})"
    only = ", only this process' part" if step.backend == "LocMemCache" else ""
    return f"{step.alias!r} ({step.backend}{only})"
