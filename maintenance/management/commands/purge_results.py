"""manage.py purge_results"""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from maintenance import conf, results, space
from maintenance.batches import OutOfTime
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_database, add_json
from maintenance.management.progress import bar
from maintenance.management.purge_flags import add_purge_flags, pace_of, rules_of
from maintenance.management.stopping import stopping
from maintenance.results import Archive, Rules, report


class Command(BaseCommand):
    help = "Delete old results (django-celery-results) in many short transactions. Prompts before --vacuum on SQLite."
    noinput = "do not ask before --vacuum"

    def add_arguments(self, parser: CommandParser) -> None:
        add_purge_flags(parser)
        add_database(parser, default=None)
        add = parser.add_argument
        add("--vacuum", action="store_true", help="then give the freed space back; blocks writers on SQLite")
        add("--dry-run", action="store_true", help="only count, by status and task")
        add_json(parser)

    def handle(self, *, dry_run: bool, json: bool, vacuum: bool, archive: Path | None, **options: Any) -> None:
        given, now, using = conf.get().results, timezone.now(), options["database"]
        rules, pace = rules_of(options, given=given, now=now), pace_of(options, given=given)
        if dry_run:
            self._tell(rules, results.count(rules, pace=pace, using=using), json=json)
            return
        if vacuum and space.blocks_writers(results.alias(using)):
            self.confirm("VACUUM lets nobody else write until it is done. Go on?", interactive=options["interactive"])
        folder = None if rules.delete_nothing else archive or given.archive
        with (
            stopping() as pace.stopped,
            Archive(folder, now=now) if folder else nullcontext() as file,
            bar(
                self.stderr,
                what="Deleting results",
                total=lambda: results.count(rules, pace=pace, using=using).deleted,
                no_color=options["no_color"],
                quiet=not self.verbosity,
            ) as tell,
        ):
            done = results.purge(rules, pace=pace, using=using, archive=file, tell=tell)
        freed = space.vacuum(results.table_names(), using=results.alias(using)) if vacuum and done.complete else None
        self._tell(rules, done, json=json, archive=file, freed=freed)
        if not done.complete:
            raise OutOfTime(why=done.stopped, deleted=done.deleted)

    def _tell(self, rules: Rules, done: results.Purged | results.Counted, *, json: bool, **more: Any) -> None:
        if json:
            self.document(**report.facts(rules, done, **more))
        else:
            self.answer(report.words(rules, done, **more))
