"""docs/backup-format.md as a script: a backup is restored by hand, with the command-line tools alone."""

import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Maria, PostgreSQL
from tests.processes import ROOT, Project
from tests.servers import MariaDB, Postgres, missing

BLOCKS = re.findall(r"^```bash\n(.*?)^```", (ROOT / "docs/backup-format.md").read_text(), re.M | re.S)
FIND, UNPACK, SQLITE, POSTGRESQL, MARIADB, FILES = BLOCKS
COUNT = "SELECT count(*) FROM django_content_type"


@pytest.fixture
def key(tmp_path: Path) -> tuple[Path, str]:
    """A private key's file, and the public key."""
    for tool in ("age-keygen", "age", "zstd", "sha256sum", "sqlite3", "bash"):
        if shutil.which(tool) is None:
            missing(tool)
    file = tmp_path / "key.txt"
    subprocess.run(["age-keygen", "-o", file], check=True, capture_output=True)
    return file, re.findall(r"age1\w+", file.read_text())[0]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    ops = Project(tmp_path / "project")
    ops.folder.mkdir()
    yield ops
    ops.close()


def by_hand(project: Project, *blocks: str, **env: str) -> list[str]:
    """Run blocks of the document in the project's folder; return the lines that they print."""
    script = "set -e -o pipefail\n" + "".join(blocks)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=project.folder,
        env={**project.env, **env},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("encrypted", [False, True])
def test_sqlite(project: Project, key: tuple[Path, str], encrypted: bool) -> None:
    database = project.var / "db.sqlite3"
    project.env |= {"BACKUP_RECIPIENTS": key[1]} if encrypted else {}
    project.manage("migrate", "-v", "0")
    project.manage("backup")
    with closing(sqlite3.connect(database)) as live, live:
        tables = {name for (name,) in live.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        live.execute("DROP TABLE django_session")
    said = by_hand(project, FIND, UNPACK, SQLITE, KEY=str(key[0]), DATABASE=str(database))
    assert [line.rpartition(" ")[2] for line in said] == ["OK", "OK", "ok", "wal"]
    assert bool(list(project.var.rglob("*.age"))) is encrypted
    with closing(sqlite3.connect(database)) as live:
        assert {name for (name,) in live.execute("SELECT name FROM sqlite_master WHERE type = 'table'")} == tables


@pytest.mark.services
@pytest.mark.parametrize("encrypted", [False, True])
def test_postgresql(project: Project, key: tuple[Path, str], tmp_path: Path, encrypted: bool) -> None:
    server = Postgres(tmp_path / "postgres")
    server.start()
    try:
        live = PostgreSQL(server, "ops")
        where = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "postgres", "KEY": str(key[0])}
        url = f"postgres://postgres@127.0.0.1:{server.port}/ops"
        restored = _there_and_back(project, url, key[1] if encrypted else "", POSTGRESQL, where)
        assert restored(live) == restored(live, "restored")
    finally:
        server.stop()


@pytest.mark.services
@pytest.mark.parametrize("encrypted", [False, True])
def test_mariadb(project: Project, key: tuple[Path, str], tmp_path: Path, encrypted: bool) -> None:
    server = MariaDB(tmp_path / "mariadb")
    server.start()
    try:
        live = Maria(server, "ops")
        options = tmp_path / ".my.cnf"
        options.write_text(f"[client]\nuser=root\nhost=127.0.0.1\nport={server.port}\n")
        where = {"HOME": str(tmp_path), "KEY": str(key[0])}
        url = f"mysql://root@127.0.0.1:{server.port}/ops"
        restored = _there_and_back(project, url, key[1] if encrypted else "", MARIADB, where)
        assert restored(live) == restored(live, "restored")
    finally:
        server.stop()


def _there_and_back(
    project: Project, url: str, recipient: str, block: str, where: dict[str, str]
) -> Callable[..., list[Any]]:
    project.env |= {"DATABASE_URL": url, "BACKUP_RECIPIENTS": recipient}
    project.manage("migrate", "-v", "0")
    project.manage("backup")
    said = by_hand(project, FIND, UNPACK, block, **where)
    assert [line.rpartition(" ")[2] for line in said] == ["OK", "OK"]

    def rows(live: PostgreSQL | Maria, name: str = "") -> list[Any]:
        return live.ask(f"{COUNT} WHERE id > 0", name or live.name)

    return rows


def test_uploaded_files(project: Project, tmp_path: Path) -> None:
    media = tmp_path / "media"
    (media / "a").mkdir(parents=True)
    (media / "a" / "b c.txt").write_bytes(b"\0\r\n")
    project.manage("migrate", "-v", "0")
    project.manage("backup_media", "--root", str(media))
    (media / "a" / "b c.txt").unlink()
    said = by_hand(project, FIND.replace('"default"', '"media"'), UNPACK, FILES, MEDIA=str(media))
    assert [line.rpartition(" ")[2] for line in said] == ["OK", "OK"]
    assert (media / "a" / "b c.txt").read_bytes() == b"\0\r\n"
