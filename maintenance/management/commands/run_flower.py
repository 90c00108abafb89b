"""manage.py run_flower"""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandParser

from maintenance import process, units
from maintenance.errors import AppNotInstalled, ConfigurationError
from maintenance.health import flower
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_app, value
from maintenance.management.found import celery_app

DEFAULT_PORT: Final = 5555


class FlowerNotInstalled(AppNotInstalled):
    """run_flower needs {package!r}, which is not installed."""

    hint = "Run `pip install {distribution}`."


class BadPort(ConfigurationError):
    """{problem}."""


def port(text: str) -> int:
    """Return a TCP port. Raises ValueError."""
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise ValueError(f"{text!r} is not a port from 1 to 65535")
    return int(text)


class Command(BaseCommand):
    help = "Start Flower, the web page that watches workers, on this machine only unless one must sign in."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add_app(parser)
        add("--address", default="127.0.0.1", help="where to listen (default: 127.0.0.1)")
        add("--port", type=value(port), help="(default: $PORT, else 5555)")
        auth = "ask for one of the USER:PASSWORDs in the environment variable FLOWER_BASIC_AUTH"
        add("--basic-auth", nargs="?", const=True, default=False, metavar="", help=auth)
        add("--url-prefix", default="", metavar="PATH", help="it stands below this path of a proxy, as flower")
        add("--folder", type=Path, default=Path("var"), help="where it keeps what it has seen (default: var)")
        most = f"so many tasks are remembered (default: {flower.MAX_TASKS})"
        add("--max-tasks", type=value(units.whole), default=flower.MAX_TASKS, metavar="N", help=most)
        add("--dry-run", action="store_true", help="print the plan and end")

    def handle(self, *, app: str | None, dry_run: bool, **options: Any) -> None:
        if importlib.util.find_spec("flower") is None:
            raise FlowerNotInstalled(package="flower", distribution="flower")
        environ, name = process.environment(), celery_app(app).name
        plan = flower.plan(
            python=sys.executable,
            app=name,
            environ=environ,
            port=options["port"] or port_of(environ),
            folder=options["folder"].resolve(),
            **{name: options[name] for name in ("address", "basic_auth", "url_prefix", "max_tasks")},
        )
        lines = "\n".join(flower.explain(plan))
        if dry_run:
            return self.answer(lines)
        self.comment(lines)
        raise SystemExit(process.become(flower.command(plan)))


def port_of(environ: Mapping[str, str]) -> int:
    """Return $PORT, else Flower's own. Raises BadPort."""
    text = environ.get("PORT", "").strip()
    try:
        return port(text) if text else DEFAULT_PORT
    except ValueError as error:
        raise BadPort(problem=f"PORT: {error}") from error
