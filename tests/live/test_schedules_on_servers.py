"""Writing schedules on database servers: every test of it once more, and two syncs at one time."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT, Project, wait_for
from tests.servers import MariaDB, Postgres, Valkey

TESTS = ("tests/database/test_schedules.py", "tests/database/test_next_runs.py", "tests/database/test_unapplied.py")
pytestmark = pytest.mark.services


@pytest.fixture(params=[Postgres, MariaDB])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Postgres | MariaDB]:
    made = request.param(tmp_path / "server")
    made.start()
    yield made
    made.stop()


@pytest.mark.timeout(900)
def test_every_test_of_writing_schedules_passes(server: Postgres | MariaDB, tmp_path: Path) -> None:
    environment = {**os.environ, "TEST_DATABASE_URL": server.url, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", *TESTS, "--ds=tests.settings_server", "-q", "-n0", "--create-db"),
            # With a folder of its own: pytest would close the common one to the servers' user.
            *("-p", "no:cacheprovider", f"--basetemp={tmp_path / 'inner'}"),
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert re.search(r"^\d+ passed in ", done.stdout, re.MULTILINE), done.stdout[-2000:]


HOLDER = "from maintenance import lease\nfound = lease.find('sync_schedules')\nprint(found.holder if found else '')"


def test_a_second_sync_is_told_who_is_at_work(tmp_path: Path, valkey: Valkey) -> None:
    """The first stands before a locked table, its lock held; the second ends at once; then the first goes on."""
    server = Postgres(tmp_path / "postgres")
    server.start()
    project = Project(tmp_path / "project", REDIS_URL=valkey.url, DATABASE_URL=server.url)
    try:
        project.manage("migrate", "--no-input", "-v", "0")
        with subprocess.Popen([server.psql, server.url], stdin=subprocess.PIPE, text=True) as psql:
            assert psql.stdin is not None
            psql.stdin.write("BEGIN; LOCK TABLE django_celery_beat_periodictask IN SHARE MODE;\n")
            psql.stdin.flush()
            waiting = "SELECT count(*) FROM pg_locks WHERE mode = 'ShareLock' AND relation = "
            table = "'django_celery_beat_periodictask'::regclass"
            wait_for(lambda: count(server, f"{waiting}{table}") == 1, seconds=30)
            first = project.start("sync_schedules")
            holder = wait_for(lambda: project.python(HOLDER).strip(), seconds=60, about="the first one's lock")
            wait_for(lambda: count(server, "SELECT count(*) FROM pg_locks WHERE NOT granted") == 1, seconds=60)
            second = project.manage("sync_schedules", check=False)
            psql.stdin.write("COMMIT;\n")
            psql.stdin.close()
        assert re.fullmatch(rf".+:{first.pid}:[0-9a-f]{{8}}", holder)
        assert (second.stdout, second.returncode) == ("", 4)
        assert re.fullmatch(
            rf"CommandError: 'sync_schedules' is locked by '{re.escape(holder)}' since \S+\. "
            r"Wait until it is done; the lock expires by itself at \S+\.\n",
            second.stderr,
        ), second.stderr
        assert first.wait(seconds=60) == 0, first.output
        assert re.search(r"^Created \d+, updated 0, disabled 0, deleted 0; 0 unchanged", first.output, re.MULTILINE)
        third = project.manage("sync_schedules")
        assert re.search(r"^Created 0, updated 0, disabled 0, deleted 0; \d+ unchanged", third.stdout, re.MULTILINE)
        assert project.python(HOLDER) == "\n"
    finally:
        project.close()
        server.stop()


def count(server: Postgres, query: str) -> int:
    done = subprocess.run([server.psql, "-At", "-c", query, server.url], capture_output=True, text=True, check=True)
    return int(done.stdout)
