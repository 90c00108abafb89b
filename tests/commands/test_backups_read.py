"""list_backups, verify_backup, restore_backup, prune_backups, pin_backup and unpin_backup, through their doors."""

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import time_machine

from maintenance import tasks
from maintenance.backups.errors import Damaged, NoBackup
from tests.conftest import Outcome

pytestmark = pytest.mark.django_db
Run = Callable[..., Outcome]
Add = Callable[[str], Path]
NOON = "2026-11-22T12:00:00+00:00"


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.MAINTENANCE = {"BACKUPS": {"ROOT": tmp_path / "backups", "DATABASES": ["archive"]}}
    return tmp_path / "backups"


def fill(path: Path, rows: int = 2) -> None:
    with closing(sqlite3.connect(path)) as live, live:
        live.execute("CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY)")
        live.execute("DELETE FROM entry")
        live.executemany("INSERT INTO entry VALUES (?)", [(n,) for n in range(rows)])


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as live:
        return int(live.execute("SELECT count(*) FROM entry").fetchone()[0])


def back_up(run: Run, *times: str, alias: str = "archive") -> list[str]:
    """Back up at these moments and return the ids."""
    ids = []
    for moment in times:
        with time_machine.travel(moment, tick=False):
            ids.append(json.loads(run("backup", "--database", alias, "--json")[0])["backups"][0]["id"])
    return ids


def at_noon(run: Run, *args: str) -> Outcome:
    with time_machine.travel(NOON, tick=False):
        return run(*args)


def no_sizes(text: str) -> str:
    return re.sub(r"\d+ B|[\d.]+x", "_", text)


def test_what_there_is_and_what_retention_says_of_it(run: Run, sqlite_file: Add, folder: Path, settings: Any) -> None:
    fill(sqlite_file("archive"))
    assert run("list_backups") == (f"No backups in '{folder}'.\n", "", 0)
    old, middle, new = back_up(run, "2026-11-20T12:00Z", "2026-11-22T02:00Z", "2026-11-22T11:30Z")
    settings.MAINTENANCE = {"BACKUPS": {**settings.MAINTENANCE["BACKUPS"], "KEEP_DAILY": 1}}
    assert at_noon(run, "verify_backup", middle)[2] == 0
    assert at_noon(run, "pin_backup", old, "--reason", "tax")[::2] == (f"Pinned {old} (archive).\n", 0)
    out, err, code = at_noon(run, "list_backups")
    assert (no_sizes(out).splitlines(), err, code) == (
        [
            f"In '{folder}':",
            "ID                         DATABASE  AGE  SIZE   RATIO  VERIFIED         TAG  KEPT AS",
            f"{new}  archive   30m  _  _  never            -    daily, newest",
            f"{middle}  archive   10h  _  _  restored 0s ago  -    daily, newest verified, newest restored",
            f"{old}  archive   2d   _  _  never            -    pinned",
        ],
        "",
        0,
    )
    out, err, code = at_noon(run, "list_backups", "--json", "--database", "archive", "--tag", "")
    document = json.loads(out)
    assert [list(document), err, code] == [["schema_version", "backups", "unreadable"], "", 0]
    listed = {one["id"]: one for one in document["backups"]}
    manifest = json.loads((folder / f"{middle}.manifest.json").read_bytes())
    assert {key: listed[middle][key] for key in manifest} == manifest
    assert (listed[old]["pinned"]["reason"], listed[old]["kept"], listed[new]["verified"]) == ("tax", ["pinned"], None)
    assert listed[middle]["verified"]["tables"] == {"entry": 2}
    assert at_noon(run, "list_backups", "--database", "arch") == (f"No backups in '{folder}'.\n", "", 0)
    assert at_noon(run, "list_backups", "--tag", "x") == (f"No backups in '{folder}'.\n", "", 0)


def test_what_cannot_be_restored_is_never_listed(run: Run, sqlite_file: Add, folder: Path) -> None:
    fill(sqlite_file("archive"))
    (id_,) = back_up(run, NOON)
    next(folder.glob("*.zst")).unlink()
    (folder / "20260101T000000Z-11111111.manifest.json").write_bytes(b"{")
    names = ["20260101T000000Z-11111111.manifest.json", f"{id_}.manifest.json"]
    err = "".join(f"{name!r} cannot be read, or its data is gone: it is not listed.\n" for name in names)
    assert run("list_backups") == (f"No backups in '{folder}'.\n", err, 0)
    missing = f"CommandError: There is no backup '{id_}' in {folder}. `manage.py list_backups` tells what there is.\n"
    assert run("restore_backup", id_, "--noinput", "--yes-i-mean=archive") == ("", missing, 1)


def test_pruning_says_why_and_the_dry_run_is_the_run(run: Run, sqlite_file: Add, folder: Path) -> None:
    fill(sqlite_file("archive"))
    fill(sqlite_file("archive2"))
    old, middle, new = back_up(run, "2026-11-20T12:00Z", "2026-11-21T02:00Z", "2026-11-21T03:00Z")
    (other,) = back_up(run, "2025-01-01T00:00Z", alias="archive2")
    before = sorted(folder.iterdir())
    flags = ("prune_backups", "--keep-daily=2")
    out, err, code = run(*flags, "--dry-run")
    assert (no_sizes(out).splitlines(), err, code) == (
        [
            f"In '{folder}':",
            f"  {other} (archive2, _) stays: daily, newest",
            f"  {old} (archive, _) stays: daily",
            f"- {middle} (archive, _) would go: no rule keeps it",
            f"  {new} (archive, _) stays: daily, newest",
            "Would remove 1 of 4 backups, _.",
        ],
        "",
        0,
    )
    refused = "CommandError: Not confirmed: nothing was changed. Answer y, or pass --noinput where nobody can answer.\n"
    why = no_sizes(run(*flags)[1])
    assert (why.splitlines(keepends=True)[-1], run(*flags)[2]) == (refused, 4)
    assert sorted(folder.iterdir()) == before
    document = json.loads(run(*flags, "--noinput", "--json")[0])
    assert [one["goes"] for one in document["backups"]] == ["", "", "no rule keeps it", ""]
    gone = {path.name for path in before} - {path.name for path in folder.iterdir()}
    assert gone == {f"{middle}.manifest.json", f"{middle}.archive.sqlite3.zst"}
    out, err, code = run(*flags, "--noinput")
    assert (out.splitlines()[-1], code) == ("Removed 0 of 3 backups, 0 B.", 0)
    assert run("prune_backups", "--noinput")[0].splitlines()[-1] == "Removed 0 of 3 backups, 0 B."


def test_a_pinned_one_goes_after_it_is_unpinned(run: Run, sqlite_file: Add, folder: Path) -> None:
    fill(sqlite_file("archive"))
    old, _new = back_up(run, "2026-11-20T12:00Z", "2026-11-21T02:00Z")
    prune = ("prune_backups", "--keep-last=1", "--noinput")
    run("pin_backup", old)
    assert run(*prune)[0].splitlines()[-1] == "Removed 0 of 2 backups, 0 B."
    assert run("unpin_backup", old) == (f"Unpinned {old} (archive).\n", "", 0)
    assert run(*prune)[0].splitlines()[-1].startswith("Removed 1 of 2 backups, ")
    assert [path.name for path in folder.iterdir() if path.name.startswith(old)] == []


def test_verifying_tells_how_far_it_went(run: Run, sqlite_file: Add, folder: Path) -> None:
    fill(sqlite_file("archive"))
    (id_,) = back_up(run, NOON)
    for level, did in (
        ("hash", "its stored bytes are whole"),
        ("decode", "its dump reads to the end"),
        ("restore", "restored, 2 rows in 1 table"),
    ):
        out, err, code = run("verify_backup", "latest", "--database=archive", "--level", level)
        assert (no_sizes(out), err, code) == (f"ok  {id_} (archive, _): {did}.\n", "", 0)


def test_a_damaged_one_ends_with_5_and_the_others_are_looked_at(run: Run, sqlite_file: Add, folder: Path) -> None:
    fill(sqlite_file("archive"))
    old, new = back_up(run, "2026-11-20T12:00Z", NOON)
    file = folder / f"{new}.archive.sqlite3.zst"
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:-1])
    out, err, code = run("verify_backup", "--all")
    assert (no_sizes(out), err, code) == (
        f"DAMAGED  {new} (archive, _): only {size - 1} stored bytes instead of {size}.\n"
        f"ok  {old} (archive, _): restored, 2 rows in 1 table.\n",
        f"CommandError: 1 backup is damaged: {new}. "
        "They are marked, and count for nothing in retention. Make a new backup now.\n",
        5,
    )
    document = json.loads(run("verify_backup", "--all", "--level=hash", "--json")[0])
    assert [(one["id"], one["ok"]) for one in document["backups"]] == [(new, False), (old, True)]
    assert "DAMAGED" in at_noon(run, "list_backups")[0]


def test_a_sample_is_what_waited_longest(run: Run, sqlite_file: Add, folder: Path) -> None:
    fill(sqlite_file("archive"))
    ids = back_up(run, "2026-11-20T12:00Z", "2026-11-21T12:00Z", NOON)
    seen = [run("verify_backup", "--all", "--sample=34%", "--level=hash")[0] for _ in range(2)]
    assert [[id_ for id_ in reversed(ids) if id_ in out] for out in seen] == [[ids[2], ids[1]], [ids[2], ids[0]]]
    assert run("verify_backup", "--all", "--sample=1%", "--level=hash")[0].count("ok") == 1
    err = "CommandError: Error: argument --sample: '10' is not a share such as 10%.\n"
    assert run("verify_backup", "--all", "--sample=10")[2] == 2
    assert run("verify_backup", "--all", "--sample=10")[1].endswith(err.partition("Error: ")[2].partition("Error: ")[2])


@pytest.mark.parametrize("args", [(), ("latest", "--all")])
def test_it_must_be_told_which(run: Run, folder: Path, args: tuple[str, ...]) -> None:
    assert run("verify_backup", *args) == ("", "CommandError: Pass a backup's id, latest, or --all.\n", 2)


def test_a_restore_needs_the_databases_name(run: Run, sqlite_file: Add, folder: Path) -> None:
    live = sqlite_file("archive")
    fill(live)
    (id_,) = back_up(run, NOON)
    fill(live, 9)
    err = (
        "CommandError: Not confirmed: nothing was changed. "
        "Type the database's alias, or pass --noinput --yes-i-mean ALIAS where nobody can answer.\n"
    )
    for wrong in ((), ("--yes-i-mean=default",)):
        assert run("restore_backup", id_, "--noinput", *wrong) == ("", err, 4)
    what = f"Restore {id_} (archive, made 0s ago, 8.2 KB, 2 rows in 1 table) over the database 'archive'."
    asked = f"{what} What is in it now will be gone.\n{err}"
    assert at_noon(run, "restore_backup", id_) == ("", asked, 4)
    assert rows(live) == 9


def test_a_restore_backs_up_first(run: Run, sqlite_file: Add, folder: Path) -> None:
    live = sqlite_file("archive")
    fill(live)
    (id_,) = back_up(run, "2026-11-22T11:00Z")
    fill(live, 9)
    what = f"{id_} (archive, made 1h ago, 8.2 KB, 2 rows in 1 table) over the database 'archive'"
    assert at_noon(run, "restore_backup", id_, "--dry-run") == (f"Would restore {what}.\n", "", 0)
    assert rows(live) == 9
    sure = ("--noinput", "--yes-i-mean=archive")
    out, err, code = run("restore_backup", "latest", "--database=archive", *sure)
    said = re.fullmatch(
        rf"Restored {id_} over the database 'archive': 2 rows in 1 table\.\nWhat was there before is backup (.+)\.\n",
        out,
    )
    assert (said is not None, err, code, rows(live)) == (True, "", 0, 2)
    assert said is not None
    out, err, code = run("restore_backup", said[1], *sure, "--no-safety-backup", "--json")
    document = json.loads(out)
    assert (document["id"], document["safety"], document["tables"], rows(live)) == (said[1], "", {"entry": 9}, 9)
    assert len(list(folder.glob("*.manifest.json"))) == 2


def test_a_damaged_backup_never_touches_the_database(run: Run, sqlite_file: Add, folder: Path) -> None:
    live = sqlite_file("archive")
    fill(live)
    (id_,) = back_up(run, NOON)
    fill(live, 9)
    file = folder / f"{id_}.archive.sqlite3.zst"
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:-4])
    err = (
        f"CommandError: Backup '{id_}' is damaged: only {size - 4} stored bytes instead of {size}. "
        "The database was not touched. Take another backup: `manage.py list_backups`.\n"
    )
    assert run("restore_backup", id_, "--noinput", "--yes-i-mean=archive") == ("", err, 5)
    assert (rows(live), len(list(folder.glob("*.manifest.json")))) == (9, 1)


def test_it_is_restored_beside_without_a_question(run: Run, sqlite_file: Add, folder: Path, tmp_path: Path) -> None:
    live = sqlite_file("archive")
    fill(live)
    (id_,) = back_up(run, NOON)
    beside = tmp_path / "beside"
    assert run("restore_backup", id_, "--into", str(beside)) == (
        f"Restored {id_} into the new '{beside}': 2 rows in 1 table.\n",
        "",
        0,
    )
    assert rows(beside) == 2
    err = f"CommandError: '{beside}' exists already. Give --into a new name.\n"
    assert run("restore_backup", id_, "--into", str(beside)) == ("", err, 4)


def test_another_databases_backup_is_refused(run: Run, sqlite_file: Add, folder: Path) -> None:
    fill(sqlite_file("archive"))
    other = sqlite_file("other")
    (id_,) = back_up(run, NOON)
    sure = ("--database=other", "--noinput", "--yes-i-mean=other", "--no-safety-backup")
    err = f"CommandError: Backup '{id_}' is one of 'archive', and 'other' is asked for. Pass --force if you mean it.\n"
    assert run("restore_backup", id_, *sure) == ("", err, 4)
    assert run("restore_backup", id_, *sure, "--force")[2] == 0
    assert rows(other) == 2


def test_the_drill_fails_loudly(run: Run, sqlite_file: Add, folder: Path) -> None:
    fill(sqlite_file("archive"))
    with pytest.raises(NoBackup):
        tasks.verify_backup.run()
    (id_,) = back_up(run, NOON)
    (found,) = tasks.verify_backup.run()["backups"]
    assert {key: found[key] for key in ("id", "level", "ok", "tables", "destination")} == {
        "id": id_,
        "level": "restore",
        "ok": True,
        "tables": {"entry": 2},
        "destination": str(folder),
    }
    json.dumps(found)
    file = folder / f"{id_}.archive.sqlite3.zst"
    file.write_bytes(file.read_bytes()[1:])
    with pytest.raises(Damaged):
        tasks.verify_backup.run()


def test_the_pruning_task_follows_the_settings(run: Run, sqlite_file: Add, folder: Path, settings: Any) -> None:
    fill(sqlite_file("archive"))
    old, _new = back_up(run, "2026-11-20T12:00Z", "2026-11-21T02:00Z")
    nothing = {"pruned": [{"destination": str(folder), "removed": (), "freed_bytes": 0}]}
    assert tasks.prune_backups.run() == nothing
    settings.MAINTENANCE = {"BACKUPS": {"ROOT": folder, "KEEP_WITHIN": "2h"}}
    size = (folder / f"{old}.archive.sqlite3.zst").stat().st_size
    pruned = {"destination": str(folder), "removed": (old,), "freed_bytes": size}
    assert tasks.prune_backups.run() == {"pruned": [pruned]}
    assert tasks.prune_backups.run() == nothing
