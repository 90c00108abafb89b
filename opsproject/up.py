"""`make up`: prepares the database, says where the admin is, then becomes the processes of Procfile.dev."""

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db.utils import DatabaseError

from maintenance.process import Command, replace
from opsproject.environment import BASE_DIR, load

HOST = "127.0.0.1"


class CannotStart(Exception):
    """What keeps the project from starting, in one line."""


def main() -> None:
    """Migrate, sync the schedules, make sure that somebody can sign in, then start everything."""
    load()
    if not os.environ.get("DEBUG", "").strip():
        os.environ["DEBUG"] = "1"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsproject.settings")
    os.chdir(BASE_DIR)
    try:
        port = choose_port(os.environ.get("PORT", "").strip() or "8000")
        prepare()
    except CannotStart as error:
        sys.stderr.write(f"make up: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.stdout.write(f"The admin is at http://{HOST}:{port}/admin/ as soon as web runs. Ctrl-C stops everything.\n")
    replace(processes(port))


def choose_port(text: str) -> int:
    """Return PORT as a free port of this machine. Raises CannotStart."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise CannotStart(f"PORT={text!r} is not a port. Write a number from 1 to 65535.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, int(text)))
        except OSError as error:
            raise CannotStart(
                f"Port {text} cannot be used: {error.strerror}. Stop what uses it, or run `make up PORT=8001`."
            ) from error
    return int(text)


def prepare() -> None:
    """Bring the database up to date. Raises CannotStart, which names the step that failed."""
    _step("the settings", django.setup)
    from django.conf import settings

    _step("migrate", lambda: call_command("migrate", interactive=False, verbosity=0))
    _step("sync_schedules", lambda: call_command("sync_schedules"))
    if settings.DEBUG:
        _step("dev_superuser", lambda: call_command("dev_superuser"))


def processes(port: int) -> Command:
    """Return honcho on Procfile.dev, its ``python`` being this one. Settings read .env; honcho must not."""
    argv = (sys.executable, "-m", "honcho", "-e", os.devnull, "start", "-f", "Procfile.dev", "-p", str(port))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return Command(argv, env={"PATH": path, "PYTHONUNBUFFERED": "1"})


def _step(name: str, act: Callable[[], object]) -> None:
    try:
        act()
    except (CommandError, ImproperlyConfigured, DatabaseError, OSError) as error:
        raise CannotStart(f"{name} failed: {str(error).strip()}") from error


if __name__ == "__main__":
    main()
