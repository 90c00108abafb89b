"""opsproject against services that are elsewhere: a PostgreSQL, and a broker that accepts TCP and never answers."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from maintenance.schedules import MAINTENANCE_SCHEDULE
from tests.processes import Project
from tests.servers import MariaDB, Postgres, Valkey


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    """A private PostgreSQL."""
    server = Postgres(tmp_path / "postgres")
    server.start()
    yield server
    server.stop()


@pytest.mark.services
def test_the_whole_way_on_postgresql(tmp_path: Path, postgres: Postgres, valkey: Valkey) -> None:
    project = Project(tmp_path / "project", REDIS_URL=valkey.url, DATABASE_URL=postgres.url)
    try:
        project.manage("migrate", "--no-input", "-v", "0")
        first, second = project.manage("sync_schedules").stdout, project.manage("sync_schedules").stdout
        created = re.search(r"^Created (\d+), updated 0, ", first, re.MULTILINE)
        assert created, first
        assert int(created[1]) >= len(MAINTENANCE_SCHEDULE)
        unchanged = rf"^Created 0, updated 0, disabled 0, deleted 0; {created[1]} unchanged, "
        assert re.search(unchanged, second, re.MULTILINE), second
        worker = project.start("run_worker", "-P", "threads", "-c", "2")
        worker.wait_for_line(r"ready\.", seconds=120)
        beat = project.start("run_beat")
        beat.wait_for_line("Leading as", seconds=120)
        said = project.manage("doctor", "--wait=20s").stdout
        assert re.search(r"^\d+ ok\.\n\Z", said, re.MULTILINE), said
        assert beat.terminate() == 0, beat.output
        said = project.python(
            "from maintenance.models import Lease\nfrom maintenance.tasks import clear_sessions, purge_results\n"
            "print([type(task.delay().get(timeout=20)).__name__ for task in (clear_sessions, purge_results)])\n"
            "print(Lease.objects.filter(finished=None).exclude(name='beat').count())"
        )
        assert said == "['dict', 'dict']\n0\n"
        assert worker.terminate() == 0, worker.output
    finally:
        project.close()


LEASES = """
from datetime import UTC, datetime, timedelta
from maintenance import lease
minute = timedelta(minutes=1)
print(lease.acquire("x", holder="a", ttl=minute), lease.acquire("x", holder="b", ttl=minute))
found = lease.find("x")
print(found.holder, found.expires - found.since == minute, abs(datetime.now(UTC) - found.since) < minute)
print(lease.renew("x", holder="a", ttl=2 * minute))
print(lease.acquire("y", holder="a", ttl=timedelta(0)), lease.acquire("y", holder="b", ttl=minute))
print(lease.release("x", holder="b"), lease.release("x", holder="a"), lease.find("x"))
def once(holder, takeover=False):
    return lease.acquire_once("z", holder=holder, ttl=minute, takeover=takeover)
print(once("a"), once("a"), once("a", takeover=True))
print(lease.finish("z", holder="a"), once("a"), once("b"))
"""


@pytest.mark.services
@pytest.mark.parametrize("kind", [Postgres, MariaDB])
def test_leases_on_a_server(tmp_path: Path, valkey: Valkey, kind: type[Postgres] | type[MariaDB]) -> None:
    server = kind(tmp_path / "database")
    server.start()
    try:
        project = Project(tmp_path / "project", REDIS_URL=valkey.url, DATABASE_URL=server.url)
        project.manage("migrate", "maintenance", "--no-input", "-v", "0")
        said = project.python(LEASES)
    finally:
        server.stop()
    assert said == "True False\na True True\nTrue\nTrue True\nFalse True None\nTrue False True\nTrue False True\n"


def test_sending_to_a_silent_broker_is_an_error_and_not_a_hang(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        project = Project(tmp_path / "project", REDIS_URL=f"redis://127.0.0.1:{server.getsockname()[1]}/0")
        said = project.python(
            "import time\nfrom opsproject.celery import debug_task\nstarted = time.monotonic()\n"
            "try:\n    debug_task.delay()\nexcept Exception as error:\n"
            "    print(type(error).__name__, time.monotonic() - started < 40)",
            seconds=60,
        )
    assert said == "OperationalError True\n"
