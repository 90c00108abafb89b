"""Backups within limits: a disk that is full, and memory that does not grow with the database."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from maintenance.backups import create, destination
from maintenance.backups.destination import Destination
from maintenance.backups.errors import DestinationFailed, NotEnoughSpace, OutOfSpace
from tests.databases import Live, Maria, PostgreSQL, SQLite, configured, prepare, run
from tests.processes import ROOT, Project
from tests.servers import MariaDB, Postgres, Server, missing

MEGABYTE = 10**6


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mount a file system of so many bytes."""
    mounted: list[Path] = []

    def mount(size: int) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
        if done.returncode:
            missing("the right to mount a file system")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def archive(tmp_path: Path, django_db_blocker: Any) -> Iterator[int]:
    """A database of 4 MB that does not compress, as ``archive``; its size."""
    found = SQLite(tmp_path / "live.sqlite3")
    connection = found.connect()
    run(connection, "CREATE TABLE noise (raw BLOB)", "INSERT INTO noise VALUES (randomblob(4000000))")
    run(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with django_db_blocker.unblock(), configured("archive", **found.settings):
        call_command("migrate", "maintenance", verbosity=0)
        yield found.path.stat().st_size


def place(folder: Path) -> Destination:
    return destination.choose(alias=folder.name, configured={}, root=folder / "backups")


def make(*destinations: Destination) -> None:
    plan = create.plan(alias="archive", destinations=destinations)
    create.create(plan, holder="test", ttl=timedelta(minutes=5), clock=timezone.now)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("share", "error"),
    [
        (1.2, NotEnoughSpace),  # seen before anything is written
        (1.6, OutOfSpace),  # enough for the copy and for what is expected of compression, which disappoints
    ],
)
def test_a_full_disk_while_staging(
    archive: int, small_disk: Callable[[int], Path], share: float, error: type[Exception]
) -> None:
    disk = small_disk(int(archive * share))
    with pytest.raises(error) as caught:
        make(place(disk))
    assert getattr(caught.value, "exit_code", None) == 1
    assert files(disk) == []


def test_a_full_disk_while_storing_leaves_the_other_destination_whole(
    archive: int, small_disk: Callable[[int], Path], tmp_path: Path
) -> None:
    disk = small_disk(int(archive * 0.7))
    near, far = place(tmp_path), place(disk)
    with pytest.raises(DestinationFailed) as caught:
        make(near, far)
    assert f"No space is left in '{disk}/backups" in str(caught.value)
    assert str(caught.value).endswith(f"It is whole in '{tmp_path}/backups'.")
    assert (files(disk), len(files(tmp_path / "backups"))) == ([], 2)


def peak(project: Project, *args: str) -> int:
    """Return the largest memory in bytes that a process of `manage.py args` had."""
    code = "import resource, subprocess, sys\nsubprocess.run(sys.argv[1:], check=True, stdout=2)\n"
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    command = [sys.executable, "-c", code, sys.executable, str(ROOT / "manage.py"), *args]
    done = subprocess.run(command, env=project.env, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return int(done.stdout) * 1024


@pytest.mark.services
@pytest.mark.parametrize("engine", ["sqlite", "postgresql", "mysql"])
def test_memory_is_bounded_and_does_not_grow_with_the_database(tmp_path: Path, engine: str) -> None:
    server: Server | None = None
    project = Project(tmp_path / "project")
    project.var.mkdir(parents=True)
    live: Live = SQLite(project.var / "db.sqlite3")
    if engine == "postgresql":
        server = postgres = Postgres(tmp_path / "postgres")
        postgres.start()
        project.env["DATABASE_URL"] = f"postgres://postgres@127.0.0.1:{postgres.port}/ops"
        live = PostgreSQL(postgres, "ops")
    elif engine == "mysql":
        server = mariadb = MariaDB(tmp_path / "mariadb")
        mariadb.start()
        project.env["DATABASE_URL"] = f"mysql://root@127.0.0.1:{mariadb.port}/ops"
        live = Maria(mariadb, "ops")
    try:
        project.manage("migrate", "--no-input", "-v", "0")
        idle = peak(project, "check")
        prepare(live, rows=100_000, migrated=True)
        small = peak(project, "backup")
        connection = live.connect()
        for copy in ("CREATE TABLE bulk0 AS", "CREATE TABLE bulk1 AS", "CREATE TABLE bulk2 AS"):
            run(connection, f"{copy} SELECT * FROM bulk")  # noqa: S608 - ours
        connection.close()
        large = peak(project, "backup")
    finally:
        project.close()
        if server:
            server.stop()
    figures = f"idle {idle / MEGABYTE:.0f} MB, 30 MB: {small / MEGABYTE:.0f} MB, 120 MB: {large / MEGABYTE:.0f} MB"
    assert (small - idle <= 80 * MEGABYTE, large - small <= 10 * MEGABYTE) == (True, True), figures
    if os.environ.get("SHOW"):
        sys.stderr.write(f"{engine}: {figures}\n")
