"""opsproject boots, and its commands start without what they do not need."""

import subprocess
import sys

import pytest
from django.core.management import call_command

from tests.processes import ROOT

# Clients and programs that doctor, the ops page and a terminal need: together a third of a command's start.
NOT_NEEDED = ("dns", "eventlet", "flower", "health_check", "redis", "rich")
COMMANDS = ("backup", "list_backups", "purge_results", "run_beat", "run_worker", "sync_schedules", "verify_backup")


def test_the_system_checks_pass() -> None:
    call_command("check", fail_level="WARNING")


def test_commands_start_without_the_packages_that_they_do_not_need() -> None:
    code = (
        "import sys, django\n"
        "from django.core.management import load_command_class\n"
        "django.setup()\n"
        f"for name in {COMMANDS}:\n load_command_class('maintenance', name)\n"
        f"print(*[name for name in {NOT_NEEDED} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("\n", "")


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
def test_a_server_has_imported_its_views_before_the_first_request(server: str) -> None:
    code = f"import sys, opsproject.{server}\nprint('maintenance.operations.views' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("True\n", "")
