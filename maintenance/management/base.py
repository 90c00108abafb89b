"""What every command shares: foreseeable trouble becomes one line and its documented exit code."""

import argparse
import json
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.utils import DatabaseError, OperationalError

from maintenance.errors import MaintenanceError, NotConfirmed

Value = TypeVar("Value")


def value(read: Callable[[str], Value]) -> Callable[[str], Value]:
    """Return ``read`` as an argparse type that shows the reader's own words when it refuses."""

    def convert(text: str) -> Value:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def add_app(parser: argparse._ActionsContainer) -> None:
    """Add -A: the Celery app, by its name."""
    parser.add_argument("-A", "--app", help="Celery app, as for celery -A (default: found by itself)")


def add_database(parser: argparse._ActionsContainer, *, default: str | None = DEFAULT_DB_ALIAS) -> None:
    """Add --database; ``default`` None stands for where the router writes results."""
    aliases = tuple(connections)
    what = "alias of DATABASES" if default else "alias of DATABASES (default: where results are written)"
    parser.add_argument("--database", default=default, choices=aliases, help=what)


def add_json(parser: argparse._ActionsContainer, what: str = "print one JSON document") -> None:
    """Add --json; ``what`` is its help."""
    parser.add_argument("--json", action="store_true", help=what)


class Command(BaseCommand):
    """A command whose MaintenanceErrors end in ``CommandError`` with their own exit code."""

    # Checks run in `manage.py check` and doctor: a worker must start even if a check complains.
    requires_system_checks = []
    verbosity = 1
    noinput = "accepted; this never prompts"
    """What --noinput does, for its help: every command accepts it."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return a parser whose errors are one line and exit code 2, from the shell and from call_command alike."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.add_argument("--noinput", "--no-input", action="store_false", dest="interactive", help=self.noinput)

        def error(message: str) -> NoReturn:
            if getattr(self, "_called_from_command_line", False):
                parser.exit(2, f"{parser.prog}: {message}. See `{parser.prog} --help`.\n")
            raise CommandError(f"{message}.", returncode=2)

        parser.error = error  # type: ignore[method-assign]
        return parser

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run, turning foreseeable trouble into one line on stderr."""
        self.verbosity = options["verbosity"]
        try:
            return super().execute(*args, **options)
        except MaintenanceError as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        except ImproperlyConfigured as error:
            raise CommandError(f"The project is misconfigured: {error}", returncode=2) from error
        except OperationalError as error:
            message = f"The database cannot be used: {str(error).strip()}. Start it, or run `manage.py migrate`."
            raise CommandError(message, returncode=69) from error
        except DatabaseError as error:
            message = f"The database refused: {str(error).strip()}. Run `manage.py migrate`, then try again."
            raise CommandError(message, returncode=1) from error

    def answer(self, text: str) -> None:
        """Write the answer (stdout) unless ``-v 0``."""
        if self.verbosity:
            self.stdout.write(text)

    def comment(self, text: str) -> None:
        """Write commentary (stderr) unless ``-v 0``."""
        if self.verbosity:
            self.stderr.write(text, self.style.NOTICE)

    def confirm(
        self, question: str, *, interactive: bool, word: str = "", refusal: type[NotConfirmed] = NotConfirmed
    ) -> None:
        """Ask on the terminal for a yes, or for ``word``; Enter means no.

        Raises ``refusal``, also where there is no terminal.
        """
        if not interactive:
            return
        if not sys.stdin.isatty():
            raise refusal()
        self.stderr.write(f"{question} [{word or 'y'}/N]", ending=" ")
        answer = sys.stdin.readline().strip()
        if answer != word if word else answer.lower() not in ("y", "yes"):
            raise refusal()

    def document(self, **facts: Any) -> None:
        """Write one JSON document (stdout), its ``schema_version`` first."""
        self.stdout.write(json.dumps({"schema_version": 1, **facts}, indent=2, default=_plain, ensure_ascii=False))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
