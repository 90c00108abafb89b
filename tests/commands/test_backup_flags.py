"""What flags and settings of backups change, through their doors: rules, excluded rows, signals, a bar."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from maintenance.backups import signals
from tests.commands.test_backups_read import NOON, at_noon, back_up, fill
from tests.conftest import Outcome

pytestmark = pytest.mark.django_db
Run = Callable[..., Outcome]
Add = Callable[[str], Path]


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.MAINTENANCE = {"BACKUPS": {"ROOT": tmp_path / "backups", "DATABASES": ["archive"]}}
    return tmp_path / "backups"


@pytest.mark.parametrize(
    ("flags", "stays"),
    [
        (["--keep-last=1"], "d"),
        (["--keep-last=1", "--keep-tag=release"], "ad"),
        (["--keep-within=25h"], "cd"),
        (["--keep-within=24h"], "d"),  # counted from the newest; at the very end it is over, as restic has it
        (["--keep-hourly=2"], "cd"),
        (["--keep-weekly=2"], "bd"),
        (["--keep-monthly=2"], "ad"),
        (["--keep-yearly=1", "--keep-daily=2"], "cd"),
        (["--max-size=1"], "d"),
    ],
)
def test_each_rule_keeps_what_it_says(run: Run, sqlite_file: Add, folder: Path, flags: list[str], stays: str) -> None:
    fill(sqlite_file("archive"))
    # Two Sundays in a row, and the day before the second.
    ids = dict(
        zip("abcd", back_up(run, "2026-10-03T12:00Z", "2026-11-15T12:00Z", "2026-11-21T12:00Z", NOON), strict=True)
    )
    manifest = folder / f"{ids['a']}.manifest.json"
    manifest.write_text(manifest.read_text().replace('"tag": ""', '"tag": "release"'))
    foretold = json.loads(at_noon(run, "prune_backups", *flags, "--dry-run", "--json")[0])["backups"]
    assert at_noon(run, "prune_backups", *flags, "--noinput")[2] == 0
    there = {one["id"] for one in json.loads(run("list_backups", "--json")[0])["backups"]}
    assert there == {ids[name] for name in stays} == {one["id"] for one in foretold if not one["goes"]}


@pytest.mark.parametrize("by", ["flag", "setting"])
def test_rows_of_tables_are_left_out(run: Run, sqlite_file: Add, folder: Path, settings: Any, by: str) -> None:
    fill(sqlite_file("archive"))
    if by == "setting":
        settings.MAINTENANCE["BACKUPS"]["EXCLUDE_TABLE_DATA"] = ["ent*"]
    flags = ["--exclude-table-data", "ent*"] if by == "flag" else []
    (made,) = json.loads(run("backup", *flags, "--json")[0])["backups"]
    assert (made["excluded"], made["tables"]["entry"]) == (["entry"], 0)
    assert run("verify_backup", made["id"])[2] == 0
    assert run("restore_backup", made["id"], "--noinput", "--yes-i-mean=archive")[2] == 0


@pytest.fixture
def heard() -> Iterator[list[tuple[str, Any]]]:
    """What the signals of reading tell."""
    found: list[tuple[str, Any]] = []
    listeners = []
    for name in ("backup_verified", "backup_pruned", "restore_finished"):

        def listen(name: str = name, **about: Any) -> None:
            found.append((name, about))

        signal = getattr(signals, name)
        signal.connect(listen, weak=False)
        listeners.append((signal, listen))
    yield found
    for signal, listen in listeners:
        signal.disconnect(listen)


def test_signals_tell_of_verifying_restoring_and_pruning(
    run: Run, sqlite_file: Add, folder: Path, heard: list[tuple[str, Any]]
) -> None:
    fill(sqlite_file("archive"))
    old, new = back_up(run, "2026-11-21T12:00Z", NOON)
    run("verify_backup", new, "--level=hash")
    run("restore_backup", new, "--noinput", "--yes-i-mean=archive", "--no-safety-backup")
    run("prune_backups", "--keep-last=1", "--noinput")
    assert [(name, about["manifest"].id) for name, about in heard] == [
        ("backup_verified", new),
        ("restore_finished", new),
        ("backup_pruned", old),
    ]
    assert (heard[0][1]["verified"].level, heard[1][1]["alias"]) == ("hash", "archive")


def test_on_a_terminal_a_bar_shows_bytes_and_rate(
    sqlite_file: Add, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    fill(sqlite_file("archive"))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("maintenance.backups.pulse._TELL_EVERY", 0)
    out, err = io.StringIO(), Terminal()
    call_command("backup", stdout=out, stderr=err, no_color=True)
    assert out.getvalue().startswith("Backed up 'archive' (SQLite, ")
    assert "dump ━" in err.getvalue()
    assert "8.2/8.2 kB" in err.getvalue()
