"""manage.py doctor"""

from collections.abc import Collection
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from celery import Celery
from django.conf import settings
from django.core.checks import run_checks
from django.core.management.base import CommandParser

from maintenance import project, units
from maintenance.errors import CeleryAppMissing
from maintenance.health import rules, runner
from maintenance.health.base import Check
from maintenance.health.rules.results import who_deletes
from maintenance.health.runner import FAILED, OK, UNKNOWN, WARNING, Finding
from maintenance.management import explain, findings, health
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_app, add_json, value
from maintenance.management.facts import facts
from maintenance.management.found import celery_app

# The tag of what the system checks find; and of live checks whose id begins otherwise.
SETTINGS = "settings"
TAGS = {"migrations": "database", "workers": "worker", "round-trip": "worker", "queue": "queues", "redis": "broker"}
LIVE = {"broker", "database", "cache", "worker", "queues", "beat", "schedules", "results", "backups", "disk", "clock"}
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
            self.tell_why(app, options["explain"], json=json)
            return
        explain.require(tag, tags(), kind="tag")
        found = celery_app(app).app
        project.discover(found)
        seen = [
            *ask(found, tags=tag, wait=wait.total_seconds()),
            *of_settings(found, tags=tag, deploy=options["deploy"]),
        ]
        healthy = all(each.state not in BAD[options["fail_on"]] for each in seen)
        if json:
            self.document(healthy=healthy, deploy=options["deploy"], checks=[asdict(each) for each in seen])
        elif self.stdout.isatty() and self.verbosity:
            findings.show(seen, self.stdout, no_color=options["no_color"])
        else:
            self.answer("\n".join(findings.lines(seen)))
        if not healthy:
            raise SystemExit(1)

    def tell_why(self, app: str | None, id: str, *, json: bool) -> None:
        """Say what a rule is for."""
        rule = explain.rule_named(id)
        assert rule is not None  # noqa: S101
        try:
            found = celery_app(app).app
            project.discover(found)
            here = rules.ask(rule, facts(found))
        except (CeleryAppMissing, project.TasksNotImportable):
            here = None
        if json:
            self.document(**explain.document(rule, here))
        else:
            self.answer(explain.words(rule, here))


def tags() -> set[str]:
    """Return every tag."""
    return {SETTINGS, *LIVE, *(rule.tag for rule in rules.RULES.values())}


def ask(app: Celery, *, tags: Collection[str], wait: float) -> list[Finding]:
    """Return what the live checks of ``tags`` (none: all) find."""
    # Workers are asked once the broker has answered: they get what is likely to be left.
    patience = max(wait / 2, wait - 0.5)
    checks = [*health.checks(app, wait=patience, round_trip=True), *health.doctors(app, wait=min(1.0, patience))]
    wanted = [check for check in checks if not tags or tag_of(check) in tags]
    return runner.look(wanted, deadline=wait, secrets=health.secrets(app))


def tag_of(check: Check) -> str:
    """Return the tag of a live check: the first part of its id, or what that belongs to."""
    part = check.key.partition(":")[0].partition(".")[0]
    return TAGS.get(part, part)


def of_settings(app: Celery, *, tags: Collection[str], deploy: bool) -> list[Finding]:
    """Return what the system checks and the rules of ``tags`` (none: all) find, or that they find nothing."""
    known = facts(app)
    looked = rules.look(known, deploy=deploy, tags=tags, silenced=settings.SILENCED_SYSTEM_CHECKS)
    found = [each for one in looked for each in findings.of_rule(one)]
    if not tags or SETTINGS in tags:
        found = [*system_checks(), *found]
    who = nothing_found(len(looked), with_checks=not tags or SETTINGS in tags)
    nothing = [] if found else [Finding(SETTINGS, SETTINGS, OK, who)]
    deleting = who_deletes(known) if not tags or "results" in tags else None
    told = [Finding("results.deleted", "who deletes", OK, deleting.fact)] if deleting and not deleting.cure else []
    return [*found, *nothing, *told]


def nothing_found(count: int, *, with_checks: bool) -> str:
    """Return who looked and found nothing."""
    who = units.counted(count, "rule")
    return (
        f"{who} and the system checks find nothing."
        if with_checks
        else f"{who} {'finds' if count == 1 else 'find'} nothing."
    )


def system_checks() -> list[Finding]:
    """Return what the app's system checks say, without those that a rule tells too."""
    rules_tell = {rule.check for rule in rules.RULES.values()}
    return [
        Finding(id, id, FAILED if each.is_serious() else WARNING, each.msg, "", each.hint or "")
        for each in run_checks(tags=["maintenance"])
        if not each.is_silenced() and each.id not in rules_tell
        for id in [each.id or SETTINGS]
    ]
