"""Several beats on one database: each due time is sent once, whoever dies. The messages are read from the queue."""

import contextlib
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.dues import check, leader, messages, schedule, start, stop
from tests.processes import Project, wait_for
from tests.servers import MariaDB, Postgres, Valkey

SERVERS: dict[str, type[Postgres] | type[MariaDB]] = {"postgres": Postgres, "mariadb": MariaDB}


@pytest.fixture(params=["sqlite", *(pytest.param(name, marks=pytest.mark.services) for name in SERVERS)])
def project(request: pytest.FixtureRequest, tmp_path: Path, valkey: Valkey) -> Iterator[Project]:
    """A project with a lease of 2 s, on each kind of database."""
    env = {"REDIS_URL": valkey.url, "MARKS": str(tmp_path)}
    server = None
    if request.param in SERVERS:
        server = SERVERS[request.param](tmp_path / request.param)
        server.start()
        env["DATABASE_URL"] = server.url
    made = Project(tmp_path / "project", settings="tests.live.projects.beats", **env)
    made.manage("migrate", "--no-input", "-v", "0")
    yield made
    made.close()
    if server:
        server.stop()


def test_two_beats_send_each_due_time_once(project: Project, valkey: Valkey) -> None:
    schedule(project, number=5, slowest=3)
    beats = start(project, 2)
    wait_for(lambda: len(messages(valkey)) > 20, seconds=40)
    assert sum("Leading as" in beat.output for beat in beats) == 1
    stop(beats)
    check(project, messages(valkey), repeats=1)


def test_after_sigterm_another_leads_at_once(project: Project, valkey: Valkey) -> None:
    schedule(project, number=3, slowest=1)
    beats = start(project, 2, LEASE_TTL="5m")
    first = leader(beats)
    (second,) = [beat for beat in beats if beat is not first]
    wait_for(lambda: messages(valkey), seconds=30)
    first.send(signal.SIGTERM)
    # On an idle machine within 1 s; here it only counts that nobody waits for the end of the lease.
    second.wait_for_line("Leading as", seconds=60)
    assert first.wait() == 0
    before = len(messages(valkey))
    wait_for(lambda: len(messages(valkey)) > before + 6, seconds=20)
    stop([second])
    check(project, messages(valkey), repeats=1)


def killed(project: Project, valkey: Valkey, *, kills: int, number: int) -> None:
    schedule(project, number=number, slowest=5)
    beats = start(project, 3)
    for _ in range(kills):
        time.sleep(random.uniform(1.0, 4.0))
        first = leader(beats)
        beats.remove(first)
        # One that has not finished its start cannot take over.
        wait_for(lambda: any("Standing by" in beat.output for beat in beats), seconds=120, about="another to stand by")
        first.send(signal.SIGKILL)
        died = time.monotonic()
        leader(beats)
        assert time.monotonic() - died < 60, "a hang: the lease lasts 2 s"
        beats.append(project.start("run_beat"))
        before = len(messages(valkey))
        wait_for(lambda before=before: len(messages(valkey)) > before, seconds=60)  # type: ignore[misc]
    for beat in beats:
        beat.wait_for_line(r"(Leading as|Standing by)", seconds=60)
    time.sleep(3)
    stop(beats)
    check(project, messages(valkey), repeats=50 * kills)


def test_killed_leaders_lose_and_double_nothing(project: Project, valkey: Valkey) -> None:
    killed(project, valkey, kills=3, number=20)


@pytest.mark.soak
@pytest.mark.timeout(2400)
def test_thirty_killed_leaders_lose_and_double_nothing(project: Project, valkey: Valkey) -> None:
    killed(project, valkey, kills=30, number=20)


@pytest.mark.parametrize("seconds", [5, pytest.param(20, marks=pytest.mark.soak)])
@pytest.mark.parametrize("project", ["sqlite"], indirect=True)
def test_a_long_write_lock_delays_and_loses_nothing(project: Project, valkey: Valkey, seconds: int) -> None:
    schedule(project, number=5, slowest=2)
    beats = start(project, 2)
    wait_for(lambda: messages(valkey), seconds=30)
    with contextlib.closing(sqlite3.connect(project.var / "db.sqlite3", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        time.sleep(1)
        before = len(messages(valkey))
        time.sleep(seconds - 1)
        assert len(messages(valkey)) == before, "nothing is sent that cannot be recorded"
        database.execute("ROLLBACK")
    wait_for(lambda: len(messages(valkey)) > before + 5 * seconds // 2, seconds=20)
    assert all(beat.popen.poll() is None for beat in beats)
    stop(beats)
    # What was sent and could not be marked may be sent again by the other beat, under the same id.
    check(project, messages(valkey), repeats=50)
