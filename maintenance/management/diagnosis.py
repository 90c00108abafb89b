"""What doctor says of a project: the live checks, the rules and the system checks, each thing once."""

from collections.abc import Callable, Collection
from typing import Final

from celery import Celery
from django.conf import settings
from django.core.checks import run_checks

from maintenance import units
from maintenance.health import rules, runner
from maintenance.health.base import Check
from maintenance.health.checks import KINDS
from maintenance.health.rules.results import who_deletes
from maintenance.health.runner import FAILED, OK, WARNING, Finding
from maintenance.management import explain, findings, health
from maintenance.management.facts import facts

# The tag of what the system checks find.
SETTINGS: Final = "settings"


def tags() -> set[str]:
    """Return every tag."""
    return {SETTINGS, *(explain.tag_of(kind.id) for kind in KINDS), *(rule.tag for rule in rules.RULES.values())}


def look(app: Celery, *, tags: Collection[str], deploy: bool, wait: float) -> list[Finding]:
    """Return what the checks, rules and system checks of ``tags`` (none: all) find.

    ``wait`` is how many seconds the live checks have together; ``deploy`` adds what matters in production only.
    """
    asked = ask(app, wanted=lambda check: not tags or explain.tag_of(check.key) in tags, wait=wait)
    told = {id for check, found in asked if found.state in (WARNING, FAILED) for id in check.rules}
    return [*(found for _, found in asked), *of_settings(app, tags=tags, deploy=deploy, told=told)]


def ask(app: Celery, *, wanted: Callable[[Check], bool], wait: float) -> list[tuple[Check, Finding]]:
    """Return the live checks that are ``wanted``, each with what it finds."""
    # Workers are asked once the broker has answered: they get what is likely to be left.
    patience = max(wait / 2, wait - 0.5)
    checks = [*health.checks(app, wait=patience, round_trip=True), *health.doctors(app, wait=min(1.0, patience))]
    chosen = list(filter(wanted, checks))
    found = runner.look(chosen, deadline=wait, secrets=health.secrets(app))
    return list(zip(chosen, found, strict=True))


def here(app: Celery, subject: explain.Subject, *, wait: float) -> explain.Here:
    """Return what a rule or a live check finds."""
    if isinstance(subject, rules.Rule):
        return rules.ask(subject, facts(app))
    return [found for _, found in ask(app, wanted=lambda check: isinstance(check, subject), wait=wait)]


def of_settings(app: Celery, *, tags: Collection[str], deploy: bool, told: Collection[str] = ()) -> list[Finding]:
    """Return what the system checks and the rules of ``tags`` (none: all) find, or that they find nothing.

    What the rules of the ids ``told`` find is left out: a live check says it.
    """
    known = facts(app)
    looked = rules.look(known, deploy=deploy, tags=tags, silenced=settings.SILENCED_SYSTEM_CHECKS)
    found = [each for one in looked if one.rule.id not in told for each in findings.of_rule(one)]
    if not tags or SETTINGS in tags:
        found = [*system_checks(), *found]
    who = nothing_found(len(looked), with_checks=not tags or SETTINGS in tags)
    nothing = [] if found else [Finding(SETTINGS, SETTINGS, OK, who)]
    deleting = who_deletes(known) if not tags or "results" in tags else None
    deletes = [Finding("results.deleted", "who deletes", OK, deleting.fact)] if deleting and not deleting.cure else []
    return [*found, *nothing, *deletes]


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
