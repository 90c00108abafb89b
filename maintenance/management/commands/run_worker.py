"""manage.py run_worker"""

from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from maintenance import broker, conf, process, units
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_app, add_json, value
from maintenance.management.found import celery_app
from maintenance.worker import detect, launch
from maintenance.worker.facts import Asked
from maintenance.worker.plan import plan, profile_named, without_mingle


class Command(BaseCommand):
    help = "Start a Celery worker: prints its plan with the reasons, waits for the broker, then becomes the worker."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add_app(parser)
        add("-P", "--pool", help="auto, prefork, threads, solo, eventlet or gevent (default: auto)")
        add("-c", "--concurrency", help="tasks at a time: auto or a number (default: auto)")
        add("-Q", "--queues", type=lambda text: tuple(filter(None, text.split(","))), help="only these, as a,b")
        add("-n", "--hostname", help="node name, as heavy@%%h")
        add("-l", "--loglevel", help="log level (default: INFO)")
        add("--max-memory", type=value(units.size), metavar="SIZE", help="memory of the whole worker (default: cgroup)")
        add("--grace", type=value(units.duration), metavar="TIME", help="from SIGTERM to SIGKILL (default: the host's)")
        add("--profile", metavar="NAME", help='options under a name: MAINTENANCE["WORKER"]["PROFILES"]')
        add(
            "--broker-wait",
            type=value(units.duration),
            default=timedelta(seconds=30),
            metavar="TIME",
            help="(default: 30s)",
        )
        add("--reload", action="store_true", help="restart on changes of Python files (development)")
        add("--burst", action="store_true", help="end once nothing is left on the queues (cron hosts, CI)")
        add(
            "--max-wait",
            type=value(units.duration),
            default=timedelta(0),
            metavar="TIME",
            help="burst: ETAs to wait for",
        )
        add("--dry-run", action="store_true", help="print the plan and end; needs neither broker nor database")
        add_json(parser, "print the plan as one JSON document (with --dry-run)")
        add("celery_args", nargs="*", metavar="-- CELERY OPTION", help="passed to celery worker unchanged")

    def handle(self, *, broker_wait: timedelta, dry_run: bool, json: bool, reload: bool, **options: Any) -> None:
        options["celery_args"] = tuple(options["celery_args"])
        asked = Asked(**{flag.name: options[flag.name] for flag in fields(Asked)})
        worker = conf.get().worker
        profile = profile_named(options["profile"], worker.profiles)
        found = celery_app(options["app"])
        chosen = plan(
            asked,
            machine=detect.machine(process.environment(), pool=asked.pool or profile.pool),
            project=detect.project(found, worker),
            profile=profile,
        )
        if dry_run and json:
            return self.document(**launch.document(chosen))
        lines = [f"app          {found.name}  ({found.reason})", *launch.explain(chosen)]
        if dry_run:
            return self.answer("\n".join(lines))
        self.comment("\n".join(lines))
        broker.wait(found.app, seconds=broker_wait.total_seconds(), say=self.comment)
        if broker.alone(found.app):
            chosen = without_mingle(chosen)
        if reload:
            raise SystemExit(launch.start_reloading(chosen, folder=Path.cwd(), say=self.comment))
        raise SystemExit(process.become(launch.command(chosen)))
