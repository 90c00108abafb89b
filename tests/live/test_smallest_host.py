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


def test_its_health_is_that_of_what_it_has(host: Project) -> None:
    code = (
        "from maintenance.health import runner\nfrom maintenance.management import health\n"
        "from tests.celery import app\n"
        "for each in runner.look(health.checks(app, wait=0.1), deadline=20): print(each.id, each.state)"
    )
    assert host.python(code).splitlines() == [
        "broker ok",
        "database ok",
        "migrations ok",
        "cache ok",
        "workers failed",
        "queues unknown",
        "queue.age ok",
        "redis.policy ok",
        "redis.visibility ok",
        "redis.shared ok",
        "disk ok",
        "clock ok",
    ]


def test_a_beat_without_tables_has_a_heartbeat_too(host: Project, tmp_path: Path) -> None:
    beat = host.start("run_beat", "--", "--schedule", str(tmp_path / "beat"), MAINTENANCE_RUN_DIR=str(tmp_path / "run"))
    beat.wait_for_line("beat: Starting", seconds=60)
    wait_for(lambda: (tmp_path / "run" / "beat").exists(), seconds=60)
    assert beat.terminate() == 0
    assert not (tmp_path / "run" / "beat").exists()
