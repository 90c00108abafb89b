"""Backups under kill -9: the redelivery does a task's work, and a command's leftovers are never a backup."""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Process, Project, wait_for
from tests.servers import Valkey

STAGING = ".maintenance-staging-*"


@pytest.fixture
def ops(tmp_path: Path, valkey: Valkey) -> Iterator[Project]:
    """opsproject with a second database, ``archive``, which alone is backed up."""
    archive = tmp_path / "archive.sqlite3"
    with closing(sqlite3.connect(archive)) as live, live:
        live.execute("CREATE TABLE entry (id INTEGER PRIMARY KEY, raw BLOB)")
        live.execute("INSERT INTO entry (raw) VALUES (randomblob(1000))")
    settings = "tests.live.projects.redelivery"
    project = Project(tmp_path / "project", settings=settings, REDIS_URL=valkey.url, ARCHIVE=str(archive))
    project.manage("migrate", "--no-input", "-v", "0")
    yield project
    project.close()


def ask(project: Project, statement: str, *values: str) -> list[Any]:
    """Return the rows of a statement on the project's own database."""
    with closing(sqlite3.connect(project.var / "db.sqlite3", timeout=20)) as database, database:
        return database.execute(statement, values).fetchall()


def holders(project: Project) -> dict[str, str]:
    return dict(ask(project, "SELECT name, holder FROM maintenance_lease WHERE finished IS NULL"))


def manifests(project: Project) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in sorted((project.var / "backups").glob("*.manifest.json"))]


def worker(project: Project) -> Process:
    process = project.start("run_worker", "--pool", "prefork", "-c", "2", "-Q", "default,heavy_tasks")
    process.wait_for_line(r"\S+@\S+ ready", seconds=60)
    return process


def test_the_redelivery_of_a_killed_task_does_its_work(ops: Project) -> None:
    with closing(sqlite3.connect(ops.env["ARCHIVE"], isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        first = worker(ops)
        id_ = ops.python("from maintenance.tasks import backup; print(backup.delay().id)").strip()
        wait_for(lambda: list((ops.var / "backups").glob(STAGING)), about="a backup waiting for the locked database")
        assert holders(ops) == {"maintenance.backup": id_, "backup:archive": id_}
        first.close()
        other.execute("ROLLBACK")
    assert holders(ops) == {"maintenance.backup": id_, "backup:archive": id_}
    assert manifests(ops) == []

    worker(ops)
    wait_for(lambda: manifests(ops), seconds=60, about="the manifest of the redelivered task")
    wait_for(lambda: holders(ops) == {}, about="the locks to be released")
    query = "SELECT result FROM django_celery_results_taskresult WHERE status = 'SUCCESS' AND task_id = ?"
    ((result,),) = wait_for(lambda: ask(ops, query, id_), about="the task's success")
    (made,) = json.loads(result)["backups"]
    assert (made["alias"], made["tables"], made["swept"]) == ("archive", {"entry": 1}, 1)
    assert [one["id"] for one in manifests(ops)] == [made["id"]]
    assert sorted(path.name for path in (ops.var / "backups").iterdir()) == sorted(
        [made["file"], f"{made['id']}.manifest.json"]
    )


def test_a_killed_command_leaves_no_backup_and_the_next_one_sweeps(ops: Project) -> None:
    with closing(sqlite3.connect(ops.env["ARCHIVE"])) as live, live:
        live.executemany("INSERT INTO entry (raw) VALUES (randomblob(1000000))", [()] * 60)
    backups = ops.var / "backups"
    killed_in: list[list[str]] = []
    for moment in (0.0, 0.05, 0.1, 0.2):
        process = ops.start("backup")
        wait_for(lambda: list(backups.glob(STAGING)), every=0.002, about="a backup at work")
        # Not a synchronisation: any moment will do, and each is another one.
        time.sleep(moment)
        process.close()
        killed_in.append(sorted(path.name for folder in backups.glob(STAGING) for path in folder.iterdir()))
        for manifest in manifests(ops):  # only a run that was done before it was killed
            data = (backups / manifest["file"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == manifest["stored_sha256"]
        if len(killed_in) == 1:
            refused = ops.manage("backup", check=False)
            assert (refused.returncode, refused.stdout) == (4, "")
            assert refused.stderr.startswith("CommandError: 'backup:archive' is locked by '")
        ask(ops, "UPDATE maintenance_lease SET expires = '2026-01-01 00:00:00'")
    assert any(killed_in)

    done = [manifest["id"] for manifest in manifests(ops)]
    made = json.loads(ops.manage("backup", "--json").stdout)["backups"][0]
    assert [manifest["id"] for manifest in manifests(ops)] == sorted([*done, made["id"]])
    assert made["tables"] == {"entry": 61}
    whole = {manifest[key] for manifest in manifests(ops) for key in ("id", "file")}
    assert [path.name for path in backups.iterdir() if path.name.removesuffix(".manifest.json") not in whole] == []
