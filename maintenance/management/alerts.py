"""How the doors look at the checks and tell who shall know."""

import socket
from dataclasses import dataclass
from datetime import datetime

from celery import Celery
from django.conf import settings

from maintenance import conf, process
from maintenance.health import alerts, runner
from maintenance.health.runner import FAILED, Finding
from maintenance.management import health

# Seconds: workers have to answer, all checks together, and all channels together.
WAIT, DEADLINE, DELIVERY = 3.0, 20.0, 40.0


@dataclass(frozen=True)
class Told:
    """What a monitor found, which changes it wrote messages of, and what became of those that wait."""

    findings: tuple[Finding, ...]
    changed: tuple[str, ...]
    sent: int
    waiting: int


def tell(app: Celery, *, now: datetime, in_worker: bool) -> Told:
    """Ask every check, and tell what changed. ``in_worker``: that no worker answers is not to be believed.

    A solo worker that does this task answers nobody meanwhile.
    """
    given, checks = conf.get().health, health.checks(app, wait=WAIT)
    findings = runner.look(checks, deadline=DEADLINE, secrets=health.secrets(app))
    worth = alerts.causes(findings, {check.key: check.needs for check in checks})
    if in_worker:
        worth = [each for each in worth if (each.id, each.state) != ("workers", FAILED)]
    to = alerts.channels(admins=settings.ADMINS, webhooks=given.webhooks)
    changed = alerts.record(worth, now=now, looks=given.looks, remind_after=given.remind_after, to=to, origin=_origin())
    delivered = alerts.deliver(to, now=now, seconds=DELIVERY)
    return Told(tuple(findings), tuple(changed), delivered.sent, delivered.waiting)


def _origin() -> alerts.Origin:
    module = settings.SETTINGS_MODULE or process.environment().get("DJANGO_SETTINGS_MODULE", "")
    return alerts.Origin(project=module.partition(".")[0], host=socket.gethostname())
