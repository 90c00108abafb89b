"""Run by `make wheel` in an empty venv: the wheel alone works in a project that only names the app."""

import importlib.resources
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

CELERY = '''"""The Celery app, the way Celery's guide sets it up."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "host.settings")

app = Celery("host")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
'''
INIT = 'from .celery import app as celery_app\n\n__all__ = ("celery_app",)\n'


class Host:
    """A project made by startproject, with the one line added and a celery.py beside its settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {k: v for k, v in os.environ.items() if k not in ("DJANGO_SETTINGS_MODULE", "PYTHONPATH")}
        self.run(sys.executable, "-m", "django", "startproject", "host", ".")
        with (folder / "host/settings.py").open("a") as settings:
            settings.write('\nINSTALLED_APPS += ["maintenance"]\n')
        (folder / "host/celery.py").write_text(CELERY)
        (folder / "host/__init__.py").write_text(INIT)

    def run(self, *args: str) -> tuple[str, str, int]:
        """Run a program in the project and return (stdout, stderr, exit code)."""
        done = subprocess.run(args, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120)
        return done.stdout, done.stderr, done.returncode

    def manage(self, *args: str) -> tuple[str, str, int]:
        """Run a management command, warnings being errors."""
        return self.run(sys.executable, "-W", "error", "manage.py", *args)


def the_wheel_holds_the_app_and_nothing_else(host: Host) -> None:
    installed = importlib.resources.files("maintenance")
    source = Path(__file__).resolve().parent.parent / "maintenance"
    names = [path.relative_to(source) for path in source.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert Path("migrations/0001_initial.py") in names
    assert [name for name in names if not installed.joinpath(*name.parts).is_file()] == []
    assert [name for name in ("opsproject", "tests", "benchmarks") if importlib.util.find_spec(name)] == []


def migrate_and_check(host: Host) -> None:
    out, err, code = host.manage("migrate", "--no-input")
    assert (code, err) == (0, ""), err
    assert "Applying maintenance.0001_initial... OK" in out
    assert host.manage("check", "--fail-level", "WARNING") == (
        "System check identified no issues (0 silenced).\n",
        "",
        0,
    )


def no_migration_is_missing(host: Host) -> None:
    assert host.manage("makemigrations", "--check", "--dry-run") == ("No changes detected\n", "", 0)


def run_worker_finds_the_app(host: Host) -> None:
    out, err, code = host.manage("run_worker", "--dry-run", "--json")
    assert (err, code) == ("", 0), err
    plan = json.loads(out)
    assert plan["argv"][1:6] == ["-m", "celery", "-A", "host", "worker"]
    assert plan["queues"] == ["celery"]


def backup_writes_to_the_default_folder(host: Host) -> None:
    out, err, code = host.manage("backup")
    assert (err, code) == ("", 0), err
    folder = host.folder / "var/backups"
    assert str(folder) in out, out
    (manifest,) = folder.glob("*.manifest.json")
    facts = json.loads(manifest.read_bytes())
    assert facts["tables"]["django_migrations"] > 0
    assert (folder / facts["file"]).stat().st_size == facts["stored_bytes"]


def clear_cache_clears(host: Host) -> None:
    _, err, code = host.manage("clear_cache")
    assert (err, code) == ("", 0), err


def clear_sessions_clears(host: Host) -> None:
    _, err, code = host.manage("clear_sessions")
    assert (err, code) == ("", 0), err


def purge_results_names_the_line_to_add(host: Host) -> None:
    _refuses(host, "purge_results", "django_celery_results", "django-celery-results")


def sync_schedules_names_the_line_to_add(host: Host) -> None:
    _refuses(host, "sync_schedules", "django_celery_beat", "django-celery-beat")


def reset_schedules_names_the_line_to_add(host: Host) -> None:
    _refuses(host, "reset_schedules", "django_celery_beat", "django-celery-beat")


def list_schedules_names_the_line_to_add(host: Host) -> None:
    _refuses(host, "list_schedules", "django_celery_beat", "django-celery-beat")


def _refuses(host: Host, command: str, package: str, distribution: str) -> None:
    assert host.manage(command, "--noinput") == (
        "",
        f"CommandError: This needs {package!r}, which is not installed in this project. Run `pip install "
        f'{distribution}` and add "{package}" to INSTALLED_APPS, then run `manage.py migrate`.\n',
        2,
    )


CASES: tuple[Callable[[Host], None], ...] = (
    the_wheel_holds_the_app_and_nothing_else,
    migrate_and_check,
    no_migration_is_missing,
    run_worker_finds_the_app,
    backup_writes_to_the_default_folder,
    clear_cache_clears,
    clear_sessions_clears,
    purge_results_names_the_line_to_add,
    sync_schedules_names_the_line_to_add,
    reset_schedules_names_the_line_to_add,
    list_schedules_names_the_line_to_add,
)


def main() -> int:
    """Run every case in one host project and say how many held. Returns the exit status."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        host = Host(Path(folder).resolve())
        for case in CASES:
            try:
                case(host)
            except AssertionError:
                failed += 1
                traceback.print_exc()
    sys.stdout.write(f"{len(CASES) - failed} passed, {failed} failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
