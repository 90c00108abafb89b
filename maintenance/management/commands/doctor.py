"""manage.py doctor"""

from collections import Counter
from dataclasses import asdict
from datetime import timedelta
from typing import Any, TextIO, cast

from django.core.checks import run_checks
from django.core.management.base import CommandParser, OutputWrapper
from rich.console import Console
from rich.table import Table
from rich.text import Text

from maintenance import project, units
from maintenance.checks import who_deletes_results
from maintenance.health import runner
from maintenance.health.runner import FAILED, OK, UNKNOWN, WARNING, Finding
from maintenance.management import health
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_app, add_json, value
from maintenance.management.found import celery_app

COLOURS = {OK: "green", WARNING: "yellow", FAILED: "bold red", UNKNOWN: "bold red"}
WORDS = {OK: "ok", WARNING: "warning", FAILED: "FAILED", UNKNOWN: "COULD NOT ASK"}


class Command(BaseCommand):
    help = "Tell whether background work can be done: broker, database, cache, a worker, and the way through it."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add_app(parser)
        wait = "how long a worker may take to answer (default: 5s)"
        add("--wait", type=value(units.duration), default=timedelta(seconds=5), metavar="TIME", help=wait)
        add_json(parser)

    def handle(self, *, app: str | None, wait: timedelta, json: bool, **options: Any) -> None:
        found = celery_app(app).app
        project.discover(found)
        asked = health.checks(found, wait=wait.total_seconds(), round_trip=True)
        deadline = wait.total_seconds() + 2
        findings = [*runner.look(asked, deadline=deadline, secrets=health.secrets(found)), *settings_findings()]
        healthy = all(finding.state in (OK, WARNING) for finding in findings)
        if json:
            self.document(healthy=healthy, checks=[asdict(finding) for finding in findings])
        elif self.stdout.isatty() and self.verbosity:
            show(findings, self.stdout, no_color=options["no_color"])
        else:
            self.answer("\n".join(lines(findings)))
        if not healthy:
            raise SystemExit(1)


def lines(findings: list[Finding]) -> list[str]:
    """Return a line a finding, and their sum."""
    width = max(len(finding.title) for finding in findings)
    return [*(f"{WORDS[each.state]:<13}  {each.title:<{width}}  {each.words}" for each in findings), total(findings)]


def show(findings: list[Finding], terminal: OutputWrapper, *, no_color: bool) -> None:
    """Draw one table on a terminal. Colours follow --no-color and NO_COLOR."""
    table = Table(box=None, pad_edge=False)
    for heading in ("State", "Check", "What was found"):
        table.add_column(heading)
    for finding in findings:
        table.add_row(Text(WORDS[finding.state], style=COLOURS[finding.state]), finding.title, Text(finding.words))
    console = Console(file=cast(TextIO, terminal), no_color=no_color or None, highlight=False)
    console.print(table)
    console.print(total(findings))


def total(findings: list[Finding]) -> str:
    """Return how many findings there are of each state."""
    count = Counter(finding.state for finding in findings)
    return ", ".join(f"{count[state]} {word.lower()}" for state, word in WORDS.items() if count[state]) + "."


def settings_findings() -> list[Finding]:
    """Return what the app's system checks say of the settings."""
    messages = run_checks(tags=["maintenance"])
    found = [
        Finding(id, id, FAILED if message.is_serious() else WARNING, message.msg, "", message.hint or "")
        for message in messages
        if not message.is_silenced()
        for id in [message.id or "settings"]
    ]
    deleting = who_deletes_results() if all(finding.state != FAILED for finding in found) else None
    told = [] if deleting is None or deleting.id else [Finding("old-results", "old results", OK, deleting.msg)]
    return (found or [Finding("settings", "settings", OK, "The system checks find nothing.")]) + told
