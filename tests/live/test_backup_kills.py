"""Backups under kill -9, at any moment and on every engine: what is left is never a backup, and is swept."""

import hashlib
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Live, Maria, PostgreSQL, SQLite, prepare, run
from tests.processes import Project, wait_for
from tests.servers import MariaDB, Postgres, Server

STAGING = ".maintenance-staging-*"
many = pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.soak)])


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def live(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Live, Project]]:
    """A project whose own database, of any engine, is large enough to be caught in the middle of a backup."""
    server: Server | None = None
    project = Project(tmp_path / "project")
    if request.param == "postgresql":
        server = postgres = Postgres(tmp_path / "postgres")
        server.start()
        project.env["DATABASE_URL"] = f"postgres://postgres@127.0.0.1:{postgres.port}/ops"
        found: Live = PostgreSQL(postgres, "ops")
    elif request.param == "mysql":
        server = mariadb = MariaDB(tmp_path / "mariadb")
        server.start()
        project.env["DATABASE_URL"] = f"mysql://root@127.0.0.1:{mariadb.port}/ops"
        found = Maria(mariadb, "ops")
    else:
        project.var.mkdir(parents=True)
        found = SQLite(project.var / "db.sqlite3")
    project.manage("migrate", "--no-input", "-v", "0")
    prepare(found, rows=200_000, migrated=True)
    yield found, project
    project.close()
    if server:
        server.stop()


def listed(project: Project) -> list[str]:
    return [one["id"] for one in json.loads(project.manage("list_backups", "--json").stdout)["backups"]]


@pytest.mark.services
@pytest.mark.timeout(1800)
@many
def test_a_run_that_is_killed_at_any_moment_is_never_seen_and_is_swept(live: tuple[Live, Project], kills: int) -> None:
    database, project = live
    backups, left = project.var / "backups", 0
    began = time.monotonic()
    project.manage("backup")
    lasts = time.monotonic() - began
    connection = database.connect()
    # Not a synchronisation: any moment will do. The first comes while the run is certainly at work.
    for pause in [0.0, *(random.uniform(0, lasts / 3) for _ in range(kills - 1))]:
        process = project.start("backup")
        ended = process.popen.poll
        wait_for(lambda ended=ended: list(backups.glob(STAGING)) or ended() is not None, every=0.002)  # type: ignore[misc]
        time.sleep(pause)
        process.close()
        wait_for(lambda: not project.pids(), seconds=10, about="the end of the dump programs of a killed backup")
        left += len(list(backups.glob(STAGING)))
        run(connection, "UPDATE maintenance_lease SET expires = '2026-01-01 00:00:00'")
    connection.close()
    assert left, "no run was killed at work"
    whole = manifests(backups)
    assert sorted(one["id"] for one in whole) == sorted(listed(project))
    for one in whole:
        assert hashlib.sha256((backups / one["file"]).read_bytes()).hexdigest() == one["stored_sha256"]

    known = {name for one in whole for name in (one["file"], f"{one['id']}.manifest.json")}
    rest = [path for path in backups.iterdir() if path.name not in known]
    (made,) = json.loads(project.manage("backup", "--json").stdout)["backups"]
    assert made["swept"] == len(rest)
    ours = {name for one in manifests(backups) for name in (one["file"], f"{one['id']}.manifest.json")}
    assert {path.name for path in backups.iterdir()} == ours


@pytest.mark.services
@pytest.mark.timeout(1800)
@many
def test_a_killed_restore_leaves_the_old_content_or_is_finished(live: tuple[Live, Project], kills: int) -> None:
    database, project = live
    restoring = ("restore_backup", "latest", "--noinput", "--yes-i-mean=default", "--no-safety-backup")
    there = databases(database)
    project.manage("backup")
    project.manage(*restoring)
    began = time.monotonic()
    project.manage(*restoring)
    lasts = time.monotonic() - began
    for number in range(kills):
        connection = database.connect()
        run(connection, f"CREATE TABLE made_after_{number} (id INTEGER)", "DELETE FROM bulk WHERE id < 100000")
        connection.close()
        process = project.start(*restoring)
        # Not a synchronisation: any moment will do.
        time.sleep(random.uniform(lasts / 3, lasts))
        process.close()
        wait_for(lambda: not project.pids(), seconds=10, about="the end of the programs of a killed restore")
        assert content(database, number) in {(200_000, 0), (100_001, 1)}
    connection = database.connect()
    run(connection, "UPDATE maintenance_lease SET expires = '2026-01-01 00:00:00'")
    connection.close()
    project.manage(*restoring)
    assert content(database, kills - 1) == (200_000, 0)
    assert databases(database) == there
    assert [path.name for path in (project.var / "backups").iterdir() if path.name.startswith(".")] == []


@pytest.mark.services
def test_a_restored_database_locks_nobody_out(live: tuple[Live, Project]) -> None:
    """Its own backup holds the lock that the run had meanwhile."""
    database, project = live
    project.manage("backup")
    (one,) = manifests(project.var / "backups")
    project.manage("restore_backup", one["id"], "--noinput", "--yes-i-mean=default", "--no-safety-backup")
    (made,) = json.loads(project.manage("backup", "--json").stdout)["backups"]
    assert made["id"] != one["id"]
    assert content(database, 0) == (200_000, 0)


def content(database: Live, number: int) -> tuple[int, int]:
    """Return the rows of ``bulk``, and whether the table that the backup lacks is there."""
    connection = database.connect()
    ours = "information_schema.tables WHERE table_schema = DATABASE() AND table_name"
    master = {"sqlite": "sqlite_master WHERE name", "mysql": ours}
    where = master.get(database.engine, "pg_tables WHERE tablename")
    found = []
    for query in ("SELECT count(*) FROM bulk", f"SELECT count(*) FROM {where} = 'made_after_{number}'"):  # noqa: S608
        cursor = connection.cursor()
        cursor.execute(query)
        found.append(int(cursor.fetchone()[0]))
    connection.close()
    return found[0], found[1]


def databases(database: Live) -> set[str]:
    """Return the databases on the server."""
    if database.engine == "sqlite":
        return set()
    connection = database.connect()
    cursor = connection.cursor()
    cursor.execute("SHOW DATABASES" if database.engine == "mysql" else "SELECT datname FROM pg_database")
    names = {row[0] for row in cursor.fetchall()}
    connection.close()
    return names


def manifests(backups: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in backups.glob("*.manifest.json")]
