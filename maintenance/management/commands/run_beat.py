"""manage.py run_beat"""

import sys
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.core.management.base import CommandParser

from maintenance import broker, heartbeat, process, units
from maintenance.beat import launch
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_app, add_json, value
from maintenance.management.found import celery_app


class Command(BaseCommand):
    help = "Start celery beat: prints its plan with the reasons, waits for the broker, then becomes beat."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add_app(parser)
        add("-l", "--loglevel", help="log level (default: INFO)")
        add(
            "--broker-wait",
            type=value(units.duration),
            default=timedelta(seconds=30),
            metavar="TIME",
            help="how long to wait for the broker (default: 30s)",
        )
        add("--no-lease", action="store_false", dest="lease", help="send without being the one leader")
        add("--dry-run", action="store_true", help="print the plan and end; needs neither broker nor database")
        add_json(parser, "print the plan as one JSON document (with --dry-run)")
        add("celery_args", nargs="*", metavar="-- CELERY OPTION", help="passed to celery beat unchanged")

    def handle(self, *, app: str | None, broker_wait: timedelta, dry_run: bool, json: bool, **options: Any) -> None:
        found = celery_app(app)
        plan = launch.plan(
            python=sys.executable,
            app=found.name,
            app_reason=found.reason,
            scheduler_setting=found.app.conf.beat_scheduler,
            has_tables=apps.is_installed("django_celery_beat"),
            loglevel=options["loglevel"],
            lease=options["lease"],
            celery_args=options["celery_args"],
            run_dir=heartbeat.folder(process.environment()),
        )
        if dry_run and json:
            return self.document(**launch.document(plan))
        lines = "\n".join(launch.explain(plan))
        if dry_run:
            return self.answer(lines)
        self.comment(lines)
        broker.wait(found.app, seconds=broker_wait.total_seconds(), say=self.comment)
        raise SystemExit(process.become(launch.command(plan)))
