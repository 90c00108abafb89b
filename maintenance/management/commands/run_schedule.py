"""manage.py run_schedule"""

from datetime import timedelta
from typing import Any

from celery.exceptions import TimeoutError as NotFinished
from django.core.management.base import CommandParser
from django.db import DEFAULT_DB_ALIAS, connections
from kombu.exceptions import OperationalError

from maintenance import project, units
from maintenance.errors import MaintenanceError, Unavailable
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_app, add_json, value
from maintenance.management.found import celery_app, require_beat_tables


class Unfinished(MaintenanceError):
    """The task {id} did not finish within {seconds}."""

    exit_code = 75
    hint = "Is there a worker for its queue? Look at its result later, or pass a longer --timeout."


class Failed(MaintenanceError):
    """The task {id} ended with {status}: {reason}."""


class Command(BaseCommand):
    help = "Send a schedule's task now, exactly as beat would: its arguments, queue, options and headers."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("name", metavar="NAME", help="the schedule's name, as list_schedules shows it")
        add_app(parser)
        add("--wait", action="store_true", help="wait for the result and print it")
        time = value(units.duration)
        add(
            "--timeout",
            type=time,
            default=timedelta(minutes=10),
            metavar="TIME",
            help="how long to wait (default: 10m)",
        )
        add("--database", default=DEFAULT_DB_ALIAS, choices=tuple(connections), help="alias of DATABASES")
        add_json(parser)

    def handle(self, *, name: str, app: str | None, wait: bool, timeout: timedelta, json: bool, **options: Any) -> None:
        require_beat_tables()
        from maintenance.schedules import send

        found = celery_app(app)
        project.discover(found.app)
        message = send.message(name, using=options["database"])
        try:
            sent = send.now(message, app=found.app)
        except OperationalError as error:
            raise Unavailable(service=f"The broker {found.broker}", reason=str(error)) from error
        facts = {"name": name, "task": message.task, "id": sent.id}
        if wait:
            facts |= self._result(sent, timeout)
        if json:
            self.document(**facts)
        else:
            self.answer(f"{sent.id}  {facts['status']} {facts['result']!r}" if wait else sent.id)

    def _result(self, sent: Any, timeout: timedelta) -> dict[str, Any]:
        try:
            sent.get(timeout=timeout.total_seconds(), propagate=False)
        except NotFinished as error:
            raise Unfinished(id=sent.id, seconds=units.human_duration(timeout)) from error
        except NotImplementedError as error:
            raise Unavailable(
                service="The result", reason="the project keeps no results (CELERY_RESULT_BACKEND)"
            ) from error
        if not sent.successful():
            raise Failed(id=sent.id, status=sent.status, reason=repr(sent.result))
        return {"status": sent.status, "result": sent.result}
