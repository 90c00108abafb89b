"""manage.py run_flower"""

import importlib.util
import sys
from typing import Any

from django.core.management.base import CommandParser

from maintenance import process
from maintenance.errors import AppNotInstalled
from maintenance.health import flower
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_app, value
from maintenance.management.found import celery_app


class FlowerNotInstalled(AppNotInstalled):
    """run_flower needs {package!r}, which is not installed."""

    hint = "Run `pip install {distribution}`."


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
        add("--port", type=value(port), default=5555, help="(default: 5555)")
        auth = "ask for one of the USER:PASSWORDs in the environment variable FLOWER_BASIC_AUTH"
        add("--basic-auth", nargs="?", const=True, default=False, metavar="", help=auth)
        add("--dry-run", action="store_true", help="print the plan and end")

    def handle(
        self, *, app: str | None, address: str, port: int, basic_auth: bool | str, dry_run: bool, **options: Any
    ) -> None:
        if importlib.util.find_spec("flower") is None:
            raise FlowerNotInstalled(package="flower", distribution="flower")
        environ, name = process.environment(), celery_app(app).name
        plan = flower.plan(
            python=sys.executable, app=name, address=address, port=port, basic_auth=basic_auth, environ=environ
        )
        lines = "\n".join(flower.explain(plan))
        if dry_run:
            return self.answer(lines)
        self.comment(lines)
        raise SystemExit(process.become(flower.command(plan)))
