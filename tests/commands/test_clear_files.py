"""clear_files, through its door: only old files, only below declared roots, never through a link."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from maintenance import files, tasks
from tests.conftest import Outcome

Run = Callable[..., Outcome]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _noon() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def root(tmp_path: Path, settings: Any) -> Path:
    folder = tmp_path / "uploads"
    folder.mkdir()
    settings.MAINTENANCE = {"FILES": {"ROOTS": {"uploads": folder}}}
    return folder


def put(path: Path, *, age: timedelta, size: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    moment = (NOW - age).timestamp()
    os.utime(path, (moment, moment))
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def test_files_older_than_asked_go(run: Run, root: Path) -> None:
    put(root / "old", age=30 * DAY + timedelta(seconds=1), size=1500)
    put(root / "deep/er/old", age=365 * DAY)
    put(root / "edge", age=30 * DAY)
    said = f"2 files (1.5 KB) from before 2026-10-23 12:00:00+00:00 that match '*' below '{root}' (uploads).\n"
    wanted = ("--root", "uploads", "--older-than", "30d")
    assert run("clear_files", *wanted, "--dry-run") == (f"Would remove {said}", "", 0)
    assert names(root) == ["deep/er/old", "edge", "old"]
    assert run("clear_files", *wanted) == (f"Removed {said}", "", 0)
    assert names(root) == ["edge"]
    assert (root / "deep/er").is_dir()


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("*", [".hidden", ".git/x.tmp"]),
        ("*.tmp", [".hidden", "a.txt", "in/b.txt", ".git/x.tmp"]),
        ("in/*", [".hidden", "a.tmp", "a.txt", ".git/x.tmp"]),
        (".*", ["a.tmp", "a.txt", "in/b.tmp", "in/b.txt", ".git/x.tmp"]),
        (".git/*", [".hidden", "a.tmp", "a.txt", "in/b.tmp", "in/b.txt"]),
        ("a.[!t]*", [".hidden", "a.tmp", "a.txt", "in/b.tmp", "in/b.txt", ".git/x.tmp"]),
    ],
)
def test_a_pattern_chooses_names_or_paths(run: Run, root: Path, pattern: str, left: list[str]) -> None:
    for name in (".hidden", "a.tmp", "a.txt", "in/b.tmp", "in/b.txt", ".git/x.tmp"):
        put(root / name, age=DAY)
    assert run("clear_files", "--root", "uploads", "--older-than", "1h", "--pattern", pattern)[2] == 0
    assert names(root) == sorted(left)


def test_no_link_leads_out_and_none_is_removed(run: Run, root: Path, tmp_path: Path) -> None:
    outside = put(tmp_path / "outside/precious", age=365 * DAY)
    (root / "link").symlink_to(outside)
    (root / "folder").symlink_to(outside.parent)
    (root / "dangling").symlink_to(tmp_path / "nothing")
    os.mkfifo(root / "pipe")
    out, err, code = run("clear_files", "--root", "uploads", "--older-than", "0", "--json")
    assert (json.loads(out)["roots"][0]["files"], err, code) == (0, "", 0)
    assert outside.is_file()
    assert sorted(path.name for path in root.iterdir()) == ["dangling", "folder", "link", "pipe"]


def test_a_folder_swapped_for_a_link_meanwhile_leads_nowhere(
    run: Run, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = put(tmp_path / "outside/precious", age=365 * DAY)
    put(root / "folder/old", age=365 * DAY)
    opened = files._open

    def swap(name: str, parent: int | str | None) -> int | str:
        if name == "folder":
            (root / "folder").rename(tmp_path / "moved")
            (root / "folder").symlink_to(outside.parent)
        return opened(name, parent)

    monkeypatch.setattr(files, "_open", swap)
    assert run("clear_files", "--root", "uploads", "--older-than", "1d")[2] == 0
    assert outside.is_file()


def test_a_root_may_be_a_link_itself(run: Run, tmp_path: Path, settings: Any) -> None:
    put(tmp_path / "real/old", age=2 * DAY)
    (tmp_path / "root").symlink_to(tmp_path / "real")
    settings.MAINTENANCE = {"FILES": {"ROOTS": {"uploads": str(tmp_path / "root")}}}
    assert run("clear_files", "--root", "uploads", "--older-than", "1d")[2] == 0
    assert names(tmp_path / "real") == []


def test_without_a_name_the_roots_that_tell_an_age_are_cleaned(run: Run, tmp_path: Path, settings: Any) -> None:
    settings.MAINTENANCE = {
        "FILES": {
            "ROOTS": {
                "exports": {"PATH": tmp_path / "exports", "OLDER_THAN": "7d", "PATTERN": "*.csv"},
                "uploads": tmp_path / "uploads",
            }
        }
    }
    for name in ("exports/old.csv", "exports/old.txt", "uploads/old.csv"):
        put(tmp_path / name, age=8 * DAY)
    out, err, code = run("clear_files", "--json")
    assert (err, code) == ("", 0)
    assert json.loads(out) == {
        "schema_version": 1,
        "dry_run": False,
        "roots": [
            {
                "root": "exports",
                "path": str(tmp_path / "exports"),
                "pattern": "*.csv",
                "before": "2026-11-15T12:00:00+00:00",
                "files": 1,
                "bytes": 10,
                "left": 0,
                "first": "",
                "reason": "",
            }
        ],
    }
    assert names(tmp_path) == ["exports/old.txt", "uploads/old.csv"]
    err = (
        "CommandError: Nothing says how old files of 'uploads' may become. Pass --older-than 30d, or set "
        'MAINTENANCE["FILES"]["ROOTS"]["uploads"]["OLDER_THAN"].\n'
    ).replace('["uploads"]', "['uploads']")
    assert run("clear_files", "--root", "uploads") == ("", err, 2)


def test_without_roots_there_is_nothing_to_do(run: Run) -> None:
    out = 'Nothing to do: no root of MAINTENANCE["FILES"]["ROOTS"] has an OLDER_THAN.\n'
    assert run("clear_files") == (out, "", 0)


@pytest.mark.parametrize("age", ["nonsense", "-3d", "1e9d", ""])
def test_a_wrong_age_is_refused_before_anything_goes(run: Run, root: Path, age: str) -> None:
    put(root / "old", age=365 * DAY)
    out, err, code = run("clear_files", "--root", "uploads", f"--older-than={age}")
    assert (out, code, err.count("\n")) == ("", 2, 1)
    assert names(root) == ["old"]


def test_an_age_before_all_files_finds_none(run: Run, root: Path) -> None:
    put(root / "old", age=365 * DAY)
    assert run("clear_files", "--root", "uploads", "--older-than", "999999d")[2] == 0
    assert names(root) == ["old"]


def test_an_unknown_root_is_refused(run: Run, root: Path) -> None:
    err = "CommandError: MAINTENANCE[\"FILES\"][\"ROOTS\"] has no '/etc'. It has: 'uploads'.\n"
    assert run("clear_files", "--root", "/etc", "--older-than", "1d") == ("", err, 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("relative/folder", "the absolute path of a folder below /"),
        ("/", "the absolute path of a folder below /"),
        ({"PATH": "relative"}, "the absolute path of a folder below /"),
        ({"OLDER_THAN": "1d"}, "the absolute path of a folder below /"),
        ({"PATH": "/srv/x", "OLDER": "1d"}, "Did you mean 'OLDER_THAN'?"),
    ],
)
def test_a_wrong_root_is_refused(run: Run, settings: Any, given: Any, message: str) -> None:
    settings.MAINTENANCE = {"FILES": {"ROOTS": {"uploads": given}}}
    out, err, code = run("clear_files", "--root", "uploads", "--older-than", "1d")
    assert (out, code, err.count("\n")) == ("", 2, 1)
    assert message in err


def test_a_root_that_is_not_there_is_told(run: Run, tmp_path: Path, settings: Any) -> None:
    for path in (tmp_path / "nothing", put(tmp_path / "file", age=DAY)):
        settings.MAINTENANCE = {"FILES": {"ROOTS": {"uploads": path}}}
        err = (
            f"CommandError: The root 'uploads' of files is '{path}', which is no folder. Make it, or correct "
            'MAINTENANCE["FILES"]["ROOTS"][\'uploads\'].\n'
        )
        assert run("clear_files", "--root", "uploads", "--older-than", "1d") == ("", err, 2)


def test_what_cannot_be_removed_is_told_and_the_others_go(
    run: Run, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        put(root / name, age=2 * DAY)
    remove = files._remove

    def stubborn(found: Any) -> None:
        if found.name == "b":
            raise PermissionError(13, "Permission denied", "b")
        if found.name == "c":
            (root / "c").unlink()  # another process was quicker
        remove(found)

    monkeypatch.setattr(files, "_remove", stubborn)
    out, err, code = run("clear_files", "--root", "uploads", "--older-than", "1d")
    assert out.startswith("Removed 1 file (10 B) from before ")
    assert (err, code) == (
        f"CommandError: Old files or folders below '{root}' cannot be removed or read (1 in all): 'b': Permission "
        "denied. Give this user their folders, and run it again.\n",
        73,
    )
    assert names(root) == ["b"]


def test_a_tree_without_end_has_one(run: Run, root: Path) -> None:
    folder = root
    for _ in range(201):
        folder /= "d"
    put(folder / "old", age=2 * DAY)
    out, err, code = run("clear_files", "--root", "uploads", "--older-than", "1d")
    assert (out[:16], code) == ("Removed 0 files ", 73)
    assert "nested too deeply" in err


@pytest.mark.django_db
def test_the_task_answers_in_json(root: Path, settings: Any) -> None:
    settings.MAINTENANCE = {"FILES": {"ROOTS": {"uploads": {"PATH": root, "OLDER_THAN": "1d"}}}}
    put(root / "old", age=2 * DAY)
    answer = tasks.clear_files.apply().get()
    assert json.loads(json.dumps(answer)) == answer
    assert [(one["root"], one["files"], one["bytes"]) for one in answer["roots"]] == [("uploads", 1, 10)]
    assert tasks.clear_files.apply(kwargs={"root": "uploads"}).get()["roots"][0]["files"] == 0
