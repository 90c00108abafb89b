"""manage.py run_schedule"""

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from maintenance import project, units
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_app, add_database, add_json, value
from maintenance.management.found import celery_app, require_beat_tables


class Command(BaseCommand):
    help = "Send a schedule's task now, exactly as beat would: its arguments, queue, options and headers."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("name", metavar="NAME", help="the schedule's name, as list_schedules shows it")
        add_app(parser)
        add("--wait", action="store_true", help="wait for the result and print it")
        time: dict[str, Any] = {"type": value(units.duration), "metavar": "TIME"}
        add("--timeout", **time, default=timedelta(minutes=10), help="how long to wait (default: 10m)")
        add_database(parser)
        add_json(parser)

    def handle(self, *, name: str, app: str | None, wait: bool, timeout: timedelta, json: bool, **options: Any) -> None:
        require_beat_tables()
        from maintenance.beat import now

        found = celery_app(app)
        project.discover(found.app)
        sent = now.send(name, app=found.app, broker=found.broker, using=options["database"])
        ended = now.wait(sent, patience=timeout) if wait else {}
        if json:
            self.document(name=name, task=sent.task, id=sent.id, **ended)
        else:
            self.answer(f"{sent.id}  {ended['status']} {ended['result']!r}" if wait else sent.id)
