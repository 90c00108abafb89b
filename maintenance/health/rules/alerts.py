"""Rules of who is told: mail, webhooks, the watcher outside, and the token of the health page."""

from collections.abc import Iterator

import django

from .base import WARNING, Trouble, rule
from .facts import Facts


@rule("nobody-is-told", WARNING, "alerts", deploy=True)
def nobody_is_told(facts: Facts) -> Iterator[Trouble]:
    """Users are the first to notice that something is broken.

    maintenance.monitor tells ADMINS by mail and every webhook; here there are neither.
    Source: Django, ADMINS; docs/runbook.md.
    """
    if not facts.django("ADMINS") and not facts.ours.health.webhooks:
        admin = '"ops@example.com"' if django.VERSION >= (6,) else '("Ops", "ops@example.com")'
        cure = f'Set ADMINS = [{admin}], or MAINTENANCE["HEALTH"]["WEBHOOKS"].'
        yield Trouble("There are neither ADMINS nor webhooks.", cure)


@rule("monitor-not-scheduled", WARNING, "alerts", deploy=True)
def monitor_not_scheduled(facts: Facts) -> Iterator[Trouble]:
    """Nobody is told of anything: nothing looks.

    maintenance.monitor is a task, every 5 minutes in MAINTENANCE_SCHEDULE. Source: docs/architecture.md, "Alerts".
    """
    if not facts.schedules("maintenance.monitor"):
        cure = "Add `**MAINTENANCE_SCHEDULE` (maintenance.schedules) to CELERY_BEAT_SCHEDULE."
        yield Trouble("maintenance.monitor is not scheduled.", cure)


@rule("watcher-unwatched", WARNING, "alerts", deploy=True)
def watcher_unwatched(facts: Facts) -> Iterator[Trouble]:
    """When the whole machine is down, so is the monitor: nobody is told.

    A monitor elsewhere that misses beat's sign of life is the only one who can tell.
    Source: docs/runbook.md, "Nothing tells that all is dead".
    """
    if not facts.ours.health.ping_url:
        cure = 'Set MAINTENANCE["HEALTH"]["PING_URL"] to a check of healthchecks.io or the like.'
        yield Trouble("No monitor outside waits for beat's sign of life.", cure)


@rule("health-token-missing", WARNING, "alerts", deploy=True)
def health_token_missing(facts: Facts) -> Iterator[Trouble]:
    """Monitoring sees ok or not, and no reason; /metrics is closed.

    Details are for staff, or for who sends the token. Source: docs/settings.md, HEALTH.
    """
    if not facts.ours.health.token:
        cure = 'Set MAINTENANCE["HEALTH"]["TOKEN"] to 32 random characters, from the environment.'
        yield Trouble("The health page has no token.", cure)


@rule("mail-goes-nowhere", WARNING, "alerts", deploy=True)
def mail_goes_nowhere(facts: Facts) -> Iterator[Trouble]:
    """Alerts are written to a console that nobody reads.

    These backends are for development. Source: Django, Sending email, "Email backends".
    """
    module = str(facts.django("EMAIL_BACKEND", "")).rpartition(".")[0]
    kind = module.rpartition(".")[2]
    if facts.django("ADMINS") and kind in ("console", "dummy", "locmem", "filebased"):
        yield Trouble(f"Mail to ADMINS goes to the {kind} backend.", "Set EMAIL_URL, or EMAIL_BACKEND to smtp.")


@rule("mail-without-timeout", WARNING, "alerts")
def mail_without_timeout(facts: Facts) -> Iterator[Trouble]:
    """A mail server that never answers hangs the task or the request that sends, for ever.

    Django waits without end unless told otherwise. Source: Django, EMAIL_TIMEOUT.
    """
    smtp = "smtp" in str(facts.django("EMAIL_BACKEND", "")) and facts.django("EMAIL_HOST")
    if smtp and not facts.django("EMAIL_TIMEOUT"):
        yield Trouble("EMAIL_TIMEOUT is not set.", "Set EMAIL_TIMEOUT = 10.")


@rule("mail-sender-refused", WARNING, "alerts", deploy=True)
def mail_sender_refused(facts: Facts) -> Iterator[Trouble]:
    """Mail servers drop it: nobody gets the alert.

    mail_admins sends from SERVER_EMAIL, which is root@localhost unless set. Source: Django, SERVER_EMAIL.
    """
    sender = str(facts.django("SERVER_EMAIL", ""))
    if facts.django("ADMINS") and sender.endswith("@localhost"):
        yield Trouble(f"Alerts come from {sender}.", 'Set SERVER_EMAIL = "ops@your.domain".')
