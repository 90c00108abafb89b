"""backup, through its door."""

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from maintenance import lease
from tests.conftest import Outcome

pytestmark = pytest.mark.django_db
Run = Callable[..., Outcome]
Add = Callable[[str], Path]
ID = r"\d{8}T\d{6}Z-[0-9a-f]{8}"


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.MAINTENANCE = {"BACKUPS": {"ROOT": tmp_path / "backups", "KEEP_LAST": 2}}
    return tmp_path / "backups"


def fill(path: Path) -> None:
    with closing(sqlite3.connect(path)) as live, live:
        live.execute("CREATE TABLE entry (id INTEGER PRIMARY KEY)")
        live.execute("INSERT INTO entry VALUES (1), (2)")


def without_ids(out: str) -> str:
    return re.sub(r": \d+ B in", ": SIZE in", re.sub(ID, "ID", out))


def test_it_says_what_went_where(run: Run, sqlite_file: Add, folder: Path) -> None:
    fill(sqlite_file("archive"))
    out, err, code = run("backup", "--database", "archive", "--noinput")
    said = f"Backed up 'archive' (SQLite, 8.2 KB, 2 rows in 1 table) as ID: SIZE in '{folder}'.\n"
    assert (without_ids(out), err, code) == (said, "", 0)
    assert len(list(folder.glob("*.manifest.json"))) == 1
    assert run("backup", "--database", "archive")[2] == 0
    out, err, code = run("backup", "--database", "archive")
    assert (without_ids(out), err, code) == (said + "Removed the older backup ID.\n", "", 0)
    assert len(list(folder.glob("*.manifest.json"))) == 2


def test_several_databases(run: Run, sqlite_file: Add, folder: Path, settings: Any) -> None:
    fill(sqlite_file("archive"))
    fill(sqlite_file("other"))
    out, err, code = run("backup", "--database", "archive", "other", "--database", "archive", "--json")
    assert (err, code) == ("", 0)
    document = json.loads(out)
    assert [one["alias"] for one in document["backups"]] == ["archive", "other"]
    assert [one["destinations"] for one in document["backups"]] == [[str(folder)], [str(folder)]]
    settings.MAINTENANCE = {"BACKUPS": {"ROOT": folder, "DATABASES": ["other"]}}
    out, err, code = run("backup", "--json")
    assert [one["alias"] for one in json.loads(out)["backups"]] == ["other"]


def test_the_document_is_the_manifest_and_what_was_removed(run: Run, sqlite_file: Add, folder: Path) -> None:
    fill(sqlite_file("archive"))
    out, err, code = run("backup", "--database=archive", "--json")
    document = json.loads(out)
    assert list(document) == ["schema_version", "dry_run", "backups"]
    manifest = json.loads(next(folder.glob("*.manifest.json")).read_bytes())
    more = {"destinations": [str(folder)], "removed": [], "broken": [], "swept": 0}
    assert document["backups"] == [{**manifest, **more}]
    assert (manifest["tables"], err, code) == ({"entry": 2}, "", 0)


def test_a_dry_run_touches_nothing_and_foretells_retention(run: Run, sqlite_file: Add, folder: Path) -> None:
    fill(sqlite_file("archive"))
    said = f"Would back up 'archive' (SQLite, about 8.2 KB) to '{folder}'.\n"
    assert run("backup", "--database=archive", "--dry-run") == (said, "", 0)
    assert not folder.exists()
    for _ in range(2):
        run("backup", "--database=archive")
    oldest = sorted(folder.glob("*.manifest.json"), key=lambda path: json.loads(path.read_bytes())["started"])[0]
    id_ = oldest.name.partition(".")[0]
    before = sorted(folder.iterdir())
    said += f"Would remove the older backup {id_}.\n"
    assert run("backup", "--database=archive", "--dry-run") == (said, "", 0)
    out, _, _ = run("backup", "--database=archive", "--dry-run", "--json")
    facts = {"alias": "archive", "engine": "sqlite", "plain_bytes": 8192, "removed": [id_], "warnings": []}
    assert json.loads(out)["backups"] == [facts]
    assert sorted(folder.iterdir()) == before


def test_leftovers_and_unreadable_manifests_are_told(run: Run, sqlite_file: Add, folder: Path) -> None:
    fill(sqlite_file("archive"))
    folder.mkdir()
    (folder / "20260101T000000Z-00000000.archive.sqlite3.zst").write_bytes(b"half")
    (folder / "20260101T000000Z-11111111.manifest.json").write_bytes(b"{")
    out, err, code = run("backup", "--database=archive")
    assert (out.splitlines()[1:], err, code) == (
        [
            "Swept leftovers of killed runs: 1.",
            "The manifest '20260101T000000Z-11111111.manifest.json' cannot be read: "
            "its backup is left alone and not counted.",
        ],
        "",
        0,
    )


def test_a_second_run_at_once_is_refused(run: Run, sqlite_file: Add, folder: Path) -> None:
    fill(sqlite_file("archive"))
    lease.acquire("backup:archive", holder="web.1:77", ttl=timedelta(minutes=5))
    held = lease.find("backup:archive")
    assert held is not None
    err = (
        f"CommandError: 'backup:archive' is locked by 'web.1:77' since {held.since.isoformat(timespec='seconds')}. "
        f"Wait until it is done; the lock expires by itself at {held.expires.isoformat(timespec='seconds')}.\n"
    )
    assert run("backup", "--database=archive") == ("", err, 4)
    assert not folder.exists()


def test_a_memory_database_has_no_file(run: Run, folder: Path) -> None:
    err = (
        "CommandError: Database 'default' is SQLite in memory: it has no file to back up. "
        "Give DATABASES['default'][\"NAME\"] a path.\n"
    )
    assert run("backup") == ("", err, 2)


def test_an_unknown_engine_is_refused_before_anything_is_done(
    run: Run, sqlite_file: Add, folder: Path, monkeypatch: Any
) -> None:
    fill(sqlite_file("archive"))
    fill(sqlite_file("good"))
    monkeypatch.setattr(connections["archive"], "vendor", "oracle", raising=False)
    err = (
        "CommandError: Database 'archive' cannot be backed up: its engine is 'oracle'. "
        "SQLite, PostgreSQL, MariaDB and MySQL are known. Use its own tools.\n"
    )
    assert run("backup", "--database", "good", "archive") == ("", err, 2)
    assert not folder.exists()


def test_an_unknown_database_is_refused(run: Run, folder: Path) -> None:
    err = "CommandError: There is no database 'nope' in DATABASES. It has: 'default'.\n"
    assert run("backup", "--database=nope") == ("", err, 2)


def test_a_folder_that_cannot_be_written(run: Run, sqlite_file: Add, settings: Any, tmp_path: Path) -> None:
    fill(sqlite_file("archive"))
    (tmp_path / "file").touch()
    place = {"location": tmp_path / "file" / "backups"}
    settings.STORAGES = {
        **settings.STORAGES,
        "backups": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": place},
    }
    err = (
        f"CommandError: Cannot write '{tmp_path}/file/backups': Not a directory. "
        "Make it writable for this user, or choose another place.\n"
    )
    assert run("backup", "--database=archive") == ("", err, 73)
    assert lease.find("backup:archive") is None


def test_the_lock_is_free_again_after_a_run(run: Run, sqlite_file: Add, folder: Path) -> None:
    fill(sqlite_file("archive"))
    before = timezone.now()
    assert run("backup", "--database=archive")[2] == 0
    assert lease.find("backup:archive") is None
    manifest = json.loads(next(folder.glob("*.manifest.json")).read_bytes())
    assert before.isoformat() <= manifest["started"] <= manifest["finished"]


def test_one_that_fails_does_not_keep_the_others_from_theirs(run: Run, sqlite_file: Add, folder: Path) -> None:
    fill(sqlite_file("archive"))
    sqlite_file("broken").write_bytes(b"no database" * 100)
    sqlite_file("gone").unlink()
    out, err, code = run("backup", "--database", "broken", "archive")
    assert (out.count("Backed up 'archive'"), code) == (1, 1)
    assert err == (
        "CommandError: Database 'broken' could not be copied: file is not a database. "
        "Nothing was stored. Try again; `PRAGMA integrity_check` tells whether the database is damaged.\n"
    )
    out, err, code = run("backup", "--database", "broken", "gone", "archive", "--json")
    assert [one["alias"] for one in json.loads(out)["backups"]] == ["archive"]
    assert err.startswith("CommandError: Backups failed of 'gone', 'broken': The file ")
    assert code == 1


def test_all_databases(run: Run, sqlite_file: Add, folder: Path) -> None:
    fill(sqlite_file("archive"))
    assert connections["archive"].vendor == "sqlite"
    err = (
        "CommandError: Database 'default' is SQLite in memory: it has no file to back up. "
        "Give DATABASES['default'][\"NAME\"] a path.\n"
    )
    assert run("backup", "--all") == ("", err, 2)
    assert run("backup", "--all", "--database", "archive")[2] == 2


def test_a_tag_is_kept_in_the_manifest_and_the_backup_verified(run: Run, sqlite_file: Add, folder: Path) -> None:
    fill(sqlite_file("archive"))
    out, err, code = run("backup", "--database=archive", "--tag", "before upgrade", "--verify", "restore")
    assert (out.splitlines()[1].split(": ")[-1], err, code) == ("restored, 2 rows in 1 table.", "", 0)
    (manifest,) = folder.glob("*.manifest.json")
    assert json.loads(manifest.read_bytes())["tag"] == "before upgrade"


def test_a_deadline_ends_it_with_75(run: Run, sqlite_file: Add, folder: Path) -> None:
    fill(sqlite_file("archive"))
    err = (
        "CommandError: 'backup:archive' was stopped after 0s, at copy: that is the most it may take. "
        "Nothing was stored. Raise --max-seconds or BACKUPS.MAX_SECONDS, or find out what holds it up.\n"
    )
    assert run("backup", "--database=archive", "--max-seconds=0.000001") == ("", err.replace("0s", "1e-06s"), 75)
    assert list(folder.iterdir()) == []
