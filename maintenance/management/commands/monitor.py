"""manage.py monitor"""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from maintenance import project
from maintenance.health.runner import OK, WARNING
from maintenance.management import alerts, findings
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_app, add_json
from maintenance.management.found import celery_app
from maintenance.units import counted


class Command(BaseCommand):
    help = "Ask every check once and tell ADMINS and webhooks what changed: the task's door for cron, without a worker."

    def add_arguments(self, parser: CommandParser) -> None:
        add_app(parser)
        add_json(parser)

    def handle(self, *, app: str | None, json: bool, **options: Any) -> None:
        found = celery_app(app).app
        project.discover(found)
        told = alerts.tell(found, now=timezone.now(), in_worker=False)
        if json:
            checks = [asdict(each) for each in told.findings]
            self.document(changed=told.changed, sent=told.sent, waiting=told.waiting, checks=checks)
        else:
            lines = [line for line in findings.lines(told.findings) if not line.startswith("ok ")]
            changed = f"Told of {counted(len(told.changed), 'change')}: {counted(told.sent, 'message')} sent"
            self.answer("\n".join([*lines, f"{changed}, {told.waiting} waiting."]))
        if any(each.state not in (OK, WARNING) for each in told.findings):
            raise SystemExit(1)
