"""manage.py doctor"""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from maintenance import project, units
from maintenance.errors import CeleryAppMissing
from maintenance.health.runner import FAILED, UNKNOWN, WARNING
from maintenance.management import diagnosis, explain, findings
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_app, add_json, value
from maintenance.management.found import celery_app

BAD = {"error": (FAILED, UNKNOWN), "warning": (FAILED, UNKNOWN, WARNING)}


class Command(BaseCommand):
    help = "Tell whether background work can be done, and which settings bite: each finding with its cure."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add_app(parser)
        wait = "how long all checks together may take to answer (default: 3s)"
        add("--wait", type=value(units.duration), default=timedelta(seconds=3), metavar="TIME", help=wait)
        add("--deploy", action="store_true", help="also what matters in production only")
        add("--tag", nargs="+", action="extend", default=[], metavar="TAG", help="only these, as broker or backups")
        add("--fail-on", choices=tuple(BAD), default="error", help="what makes the status 1 (default: error)")
        add("--explain", metavar="ID", help="say why a rule or check exists, and what it finds here")
        add_json(parser)

    def handle(self, *, app: str | None, wait: timedelta, json: bool, tag: list[str], **options: Any) -> None:
        if options["explain"]:
            self.tell_why(app, options["explain"], wait=wait, json=json)
            return
        explain.require(tag, diagnosis.tags(), kind="tag")
        found = celery_app(app).app
        project.discover(found)
        seen = diagnosis.look(found, tags=tag, deploy=options["deploy"], wait=wait.total_seconds())
        healthy = all(each.state not in BAD[options["fail_on"]] for each in seen)
        if json:
            self.document(healthy=healthy, deploy=options["deploy"], checks=[asdict(each) for each in seen])
        elif self.stdout.isatty() and self.verbosity:
            findings.show(seen, self.stdout, no_color=options["no_color"])
        else:
            self.answer("\n".join(findings.lines(seen)))
        if not healthy:
            raise SystemExit(1)

    def tell_why(self, app: str | None, id: str, *, wait: timedelta, json: bool) -> None:
        """Say what a rule or a live check is for, and what it finds here."""
        subject = explain.subject(id)
        try:
            found = celery_app(app).app
            project.discover(found)
            here = diagnosis.here(found, subject, wait=wait.total_seconds())
        except (CeleryAppMissing, project.TasksNotImportable):
            here = None
        if json:
            self.document(**explain.document(subject, here))
        else:
            self.answer(explain.words(subject, here))
