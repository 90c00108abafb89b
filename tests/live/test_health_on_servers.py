"""Health, alerts and the ops page on database servers: their tests once more, and monitors that look at one moment."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.monitor import Monitor
from tests.processes import ROOT, Project
from tests.servers import MariaDB, Postgres, Valkey

TESTS = ("operations", "alerts", "health_background", "health_runs", "health_views", "results")
# One is of SQLite, the other ends with Django closing the connection of the test's transaction.
NOT_HERE = "not sqlite and not downloads"
pytestmark = pytest.mark.services


@pytest.fixture(params=[Postgres, MariaDB])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Postgres | MariaDB]:
    made = request.param(tmp_path / "server")
    made.start()
    yield made
    made.stop()


@pytest.mark.timeout(900)
def test_every_test_of_them_passes(server: Postgres | MariaDB, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", *(f"tests/database/test_{name}.py" for name in TESTS), "-k", NOT_HERE),
            *("--ds=tests.settings_server", "-q", "-n0", "--create-db"),
            # With a folder of its own: pytest would close the common one to the servers' user.
            *("-p", "no:cacheprovider", f"--basetemp={tmp_path / 'inner'}"),
        ],
        cwd=ROOT,
        env={**os.environ, "TEST_DATABASE_URL": server.url, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert re.search(r"^\d+ passed, \d+ deselected in ", done.stdout, re.MULTILINE), done.stdout[-2000:]


ROUNDS, MONITORS = 20, 6
AT_ONCE = f"""
import json, os, threading
from datetime import UTC, datetime, timedelta
from django.db import connections
from maintenance.health import alerts
from maintenance.health.alerts import Origin
from maintenance.health.runner import Finding
from maintenance.models import Alert

channels = alerts.channels(admins=[], webhooks=[os.environ["HOOK"]])
begun, minute, start = datetime.now(UTC), timedelta(minutes=1), threading.Barrier({MONITORS})
told = [[] for _ in range({ROUNDS})]

def monitor():
    for number in range({ROUNDS}):
        found = Finding("broker", "broker", ("failed", "ok")[number % 2], "As it is.")
        now = begun + number * minute
        start.wait(60)
        told[number] += alerts.record([found], now=now, looks=1, remind_after=6 * 60 * minute, to=channels,
                                      origin=Origin("shop", "web1"))
        start.wait(60)
        alerts.deliver(channels, now=now, seconds=30)
    connections.close_all()

threads = [threading.Thread(target=monitor) for _ in range({MONITORS})]
[thread.start() for thread in threads], [thread.join() for thread in threads]
print(json.dumps([told, Alert.objects.filter(sent=None).count()]))
"""


def test_monitors_that_look_at_one_moment_tell_a_change_once(
    tmp_path: Path, server: Postgres | MariaDB, valkey: Valkey
) -> None:
    hook = Monitor()
    project = Project(tmp_path / "project", REDIS_URL=valkey.url, DATABASE_URL=server.url, HOOK=hook.url)
    try:
        project.manage("migrate", "--no-input", "-v", "0")
        told, waiting = json.loads(project.python(AT_ONCE).splitlines()[-1])
        assert (told, waiting) == ([["broker"]] * ROUNDS, 0)
        kinds = [(document["kind"], document["id"]) for document in hook.posted]
        assert [kind for kind, _ in kinds] == ["failing", "recovered"] * (ROUNDS // 2)
        assert len({id for _, id in kinds}) == ROUNDS
    finally:
        project.close()
        hook.close()


def test_mariadb_takes_as_many_connections_as_workers_may_open(tmp_path: Path, valkey: Valkey) -> None:
    server = MariaDB(tmp_path / "server")
    server.start()
    project = Project(tmp_path / "project", REDIS_URL=valkey.url, DATABASE_URL=server.url)
    try:
        project.manage("migrate", "--no-input", "-v", "0")
        args = ["-A", "opsproject", "worker", "-P", "threads", "-l", "INFO", "-n", "one@test", "-c", "400"]
        project.spawn([sys.executable, "-m", "celery", *args]).wait_for_line("one@test ready", seconds=90)
        done = project.manage("doctor", "--json", "--wait=20s", "--tag", "database", "worker", check=False)
        told = {check["title"]: check["message"] for check in json.loads(done.stdout)["checks"]}
        assert told["connections"] == "1 worker runs 400 tasks at once, and it takes 151."
        assert done.returncode == 1
    finally:
        project.close()
        server.stop()
