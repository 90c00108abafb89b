"""manage.py ops_status"""

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, TextIO, cast

from celery import Celery
from django.core.management.base import CommandParser
from django.utils import timezone
from rich.console import Console
from rich.live import Live
from rich.text import Text

from maintenance import project, units
from maintenance.health import status
from maintenance.management import backups, health
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_app, add_json, value
from maintenance.management.found import celery_app

# Seconds in which everything has to answer.
PATIENCE: Final = 4.0


class Command(BaseCommand):
    help = "Show on one screen what works, waits, failed and comes: workers, queues, beat, schedules, backups, results."

    def add_arguments(self, parser: CommandParser) -> None:
        add_app(parser)
        how = parser.add_mutually_exclusive_group()
        watch = "refresh in place every TIME, until Ctrl-C"
        how.add_argument("--watch", type=value(units.duration), metavar="TIME", help=watch)
        add_json(how)

    def handle(self, *, app: str | None, watch: timedelta | None, json: bool, **options: Any) -> None:
        found = celery_app(app).app
        project.discover(found)
        if watch is not None:
            self.watch(found, every=max(1.0, watch.total_seconds()), no_color=options["no_color"])
            return
        asked = ask(found)
        if json:
            self.document(at=timezone.now(), **status.document(asked))
        else:
            self.answer("\n".join(text(asked)))
        if not all(status.said(part, finding) for part, finding in asked):
            raise SystemExit(1)

    def watch(self, app: Celery, *, every: float, no_color: bool) -> None:
        """Show it in place until Ctrl-C, which is how one leaves: status 0."""
        console = Console(file=cast(TextIO, self.stdout), no_color=no_color or None, highlight=False)
        with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
            while True:
                head = f"{timezone.localtime():%H:%M:%S}, every {units.human_duration(every)}; Ctrl-C ends"
                lines = "\n".join([head, "", *text(ask(app))])
                if console.is_terminal:
                    live.update(Text(lines), refresh=True)
                else:
                    self.answer(lines)
                time.sleep(every)


def ask(app: Celery) -> Sequence[Any]:
    """Return every part with what became of it."""
    return status.parts(
        app,
        now=timezone.now(),
        destinations=backups.destinations,
        seconds=PATIENCE,
        secrets=health.secrets(app),
    )


def text(asked: Sequence[Any]) -> list[str]:
    """Return the screen's lines."""
    now, width = timezone.now(), max(len(part.title) for part, _ in asked)
    return [
        f"{title if at == 0 else '':<{width}}  {line}"
        for title, lines in status.lines(asked, now=now)
        for at, line in enumerate(lines)
    ]
