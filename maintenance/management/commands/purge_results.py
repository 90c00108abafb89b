"""manage.py purge_results"""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.management.base import CommandParser
from django.utils import timezone

from maintenance import conf, results, space, units
from maintenance.batches import OutOfTime, Pace
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_database, add_json, value
from maintenance.management.progress import bar
from maintenance.management.stopping import stopping
from maintenance.results import Archive, Rules, report


class Command(BaseCommand):
    help = "Delete old results (django-celery-results) in many short transactions. Prompts before --vacuum on SQLite."
    noinput = "do not ask before --vacuum"

    def add_arguments(self, parser: CommandParser) -> None:
        add, time = parser.add_argument, value(units.duration)
        add("--older-than", type=time, metavar="TIME", help="as 7d (default: what settings keep)")
        add("--failed-older-than", type=time, metavar="TIME", help="failures only (default: as the others)")
        add("--status", nargs="+", type=str.upper, default=(), metavar="S", help="only results of these statuses")
        add("--task", nargs="+", default=(), metavar="GLOB", help="only results of these tasks, as 'app.tasks.*'")
        add("--keep-last", type=value(units.whole), metavar="N", help="keep the newest N of each task, however old")
        add("--stuck", type=time, metavar="TIME", help="also what has been STARTED, PENDING or RETRY for so long")
        add("--archive", type=Path, metavar="DIR", help="write the rows to a new .jsonl.zst there before they go")
        add(
            "--batch-size",
            type=value(units.whole),
            metavar="ROWS",
            help="rows a batch at most (default: what takes 100 ms)",
        )
        add("--sleep", type=time, metavar="TIME", help="rest between batches (default: 0.05, on PostgreSQL 0)")
        add("--max-seconds", type=time, metavar="TIME", help="stop after this time, status 75 (default: 240)")
        add_database(parser, default=None)
        add("--vacuum", action="store_true", help="then give the freed space back; blocks writers on SQLite")
        add("--dry-run", action="store_true", help="only count, by status and task")
        add_json(parser)

    def handle(self, *, dry_run: bool, json: bool, vacuum: bool, archive: Path | None, **options: Any) -> None:
        given, now, using = conf.get().results, timezone.now(), options["database"]
        rules = results.plan(
            now=now,
            given=given,
            expires=getattr(settings, "CELERY_RESULT_EXPIRES", results.expires_of(current_app)),
            **{name: options[name] for name in ("older_than", "failed_older_than", "stuck", "keep_last")},
            statuses=tuple(options["status"]),
            tasks=tuple(options["task"]),
        )
        rest = results.default_rest(using) if options["sleep"] is None else options["sleep"].total_seconds()
        seconds = given.max_seconds if options["max_seconds"] is None else options["max_seconds"]
        pace = Pace(size=options["batch_size"] or given.batch_size, rest=rest, seconds=seconds.total_seconds())
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
