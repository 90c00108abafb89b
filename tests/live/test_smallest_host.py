"""A host project whose INSTALLED_APPS names the app and nothing else: a worker runs the maintenance tasks."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import Process, Project, wait_for
from tests.servers import Valkey


@pytest.fixture
def host(tmp_path: Path, valkey: Valkey) -> Iterator[Project]:
    database = str(tmp_path / "host.sqlite3")
    project = Project(tmp_path, settings="tests.settings", TEST_BROKER_URL=valkey.url, TEST_DATABASE=database)
    project.manage("migrate", "--no-input", "-v", "0")
    yield project
    project.close()


def test_a_worker_backs_up_and_clears_the_cache(host: Project, tmp_path: Path) -> None:
    # The default folder of backups is relative: the worker gets one of its own.
    worker = Process(
        [sys.executable, "-m", "celery", "-A", "tests", "worker", "-P", "prefork", "-c", "1", "-l", "INFO"],
        env=host.env,
        log=tmp_path / "worker.log",
        cwd=tmp_path,
    )
    host.processes.append(worker)
    worker.wait_for_line(r"celery@.* ready")
    names = ("backup", "clear_cache")
    sent = host.python(
        f"from tests.celery import app\nfor name in {names}: print(app.send_task('maintenance.' + name).id)"
    ).split()
    for name, id_ in zip(names, sent, strict=True):
        worker.wait_for_line(rf"Task maintenance\.{name}\[{id_}\] succeeded")
    said = re.findall(r"succeeded in \S+: (.*)", worker.output)
    cleared = re.sub(r"'(pattern|spared|also|shared)': [^,]+, ", "", said[1])
    assert cleared == "{'caches': [{'alias': 'default', 'backend': 'LocMemCache', 'prefix': None, 'keys': 0}]}"
    (manifest,) = wait_for(lambda: list((tmp_path / "var" / "backups").glob("*.manifest.json")))
    facts = json.loads(manifest.read_bytes())
    assert (facts["alias"], facts["tables"]["maintenance_lease"]) == ("default", 2)
    assert (manifest.parent / facts["file"]).stat().st_size == facts["stored_bytes"]


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("purge_results", 'add "django_celery_results" to INSTALLED_APPS'),
        ("clear_sessions", 'Add "django.contrib.sessions" to INSTALLED_APPS'),
    ],
)
def test_what_needs_another_app_names_the_line_to_add(host: Project, command: str, line: str) -> None:
    done = host.manage(command, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert line in done.stderr
