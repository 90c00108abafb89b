"""manage.py run_worker"""

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from maintenance import broker, conf, process, project, units
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import value
from maintenance.worker import detect, launch
from maintenance.worker.facts import Asked
from maintenance.worker.plan import plan, profile_named, without_mingle


class Command(BaseCommand):
    help = "Start a Celery worker: prints its plan with the reasons, waits for the broker, then becomes the worker."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("-A", "--app", help="Celery app, as for celery -A (default: found by itself)")
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
        add("--json", action="store_true", help="print the plan as one JSON document (with --dry-run)")
        add("celery_args", nargs="*", metavar="-- CELERY OPTION", help="passed to celery worker unchanged")

    def handle(self, *, broker_wait: timedelta, dry_run: bool, json: bool, reload: bool, **options: Any) -> None:
        asked_names = (
            "pool",
            "concurrency",
            "queues",
            "hostname",
            "loglevel",
            "max_memory",
            "grace",
            "burst",
            "max_wait",
        )
        asked = Asked(**{name: options[name] for name in asked_names}, celery_args=tuple(options["celery_args"]))
        worker = conf.get().worker
        profile = profile_named(options["profile"], worker.profiles)
        found = project.celery_app(flag=options["app"], setting=worker.app, settings_module=settings.SETTINGS_MODULE)
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
