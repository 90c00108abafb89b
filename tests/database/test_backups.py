"""Backups: a database that is written to becomes a file that restores, or nothing at all."""

import errno
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from django.utils import timezone

from maintenance import lease
from maintenance.backups import catalog, create, destination, engines
from maintenance.backups.destination import Destination
from maintenance.backups.engines.sqlite import dump as sqlite
from maintenance.backups.errors import (
    CopyDamaged,
    DatabaseMissing,
    LeaseLost,
    OutOfSpace,
    SnapshotFailed,
    StoredDiffers,
)
from maintenance.backups.names import data_name, manifest_name, new_id
from maintenance.backups.retention import Rules
from maintenance.errors import CannotWrite, LockHeld
from tests.servers import missing

pytestmark = pytest.mark.django_db
TTL = timedelta(minutes=5)
Add = Callable[[str], Path]


def fill(path: Path, *, rows: int = 100, wal: bool = True) -> None:
    with closing(sqlite3.connect(path)) as live, live:
        live.execute(f"PRAGMA journal_mode={'wal' if wal else 'delete'}")
        live.execute("CREATE TABLE entry (id INTEGER PRIMARY KEY, text TEXT, raw BLOB)")
        live.execute('CREATE TABLE "a ""quoted"" name" (id INTEGER PRIMARY KEY)')
        live.executemany(
            "INSERT INTO entry (text, raw) VALUES (?, ?)", [(f"row {n} ü\0\r\n", os.urandom(64)) for n in range(rows)]
        )


def content(path: Path) -> str:
    with closing(sqlite3.connect(path)) as live:
        return hashlib.sha256(repr(live.execute("SELECT * FROM entry ORDER BY id").fetchall()).encode()).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def where(folder: Path) -> Destination:
    return destination.choose(alias="backups", configured={}, root=folder)


def back_up(alias: str, where: Destination, *, keep_last: int | None = None, holder: str = "test") -> create.Backup:
    plan = create.plan(alias=alias, destinations=(where,), rules=Rules(last=keep_last))
    return create.create(plan, holder=holder, ttl=TTL, clock=timezone.now)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def ids(where: Destination, alias: str) -> list[str]:
    return [backup.id for backup in catalog.read(where.storage).of(alias)]


@pytest.mark.parametrize("wal", [True, False])
def test_a_backup_restores_with_zstd_and_sqlite_alone(
    sqlite_file: Add, where: Destination, folder: Path, tmp_path: Path, wal: bool
) -> None:
    if shutil.which("zstd") is None:
        missing("zstd")
    live = sqlite_file("archive")
    fill(live, wal=wal)
    backup = back_up("archive", where).manifest
    assert names(folder) == [backup.file, backup.name]
    stored = (folder / backup.file).read_bytes()
    assert (len(stored), hashlib.sha256(stored).hexdigest()) == (backup.stored_bytes, backup.stored_sha256)

    restored = tmp_path / "restored.sqlite3"
    subprocess.run(["zstd", "-q", "-d", folder / backup.file, "-o", restored], check=True)
    plain = restored.read_bytes()
    assert (len(plain), hashlib.sha256(plain).hexdigest()) == (backup.plain_bytes, backup.plain_sha256)
    assert content(restored) == content(live)
    assert backup.tables == {"entry": 100, 'a "quoted" name': 0}
    # Frame header descriptor, bit 2: the content carries a checksum.
    assert stored[4] & 0b100


def test_the_manifest_file_says_what_was_returned(sqlite_file: Add, where: Destination, folder: Path) -> None:
    fill(sqlite_file("archive"))
    backup = back_up("archive", where).manifest
    assert json.loads((folder / backup.name).read_bytes()) == backup.facts()
    assert catalog.read(where.storage).backups == (backup,)
    assert backup.started < backup.finished


def test_two_tables_agree_while_a_writer_writes(sqlite_file: Add, where: Destination, tmp_path: Path) -> None:
    live = sqlite_file("archive")
    fill(live, rows=40_000)
    with closing(sqlite3.connect(live)) as setup, setup:
        setup.execute("CREATE TABLE other (id INTEGER PRIMARY KEY)")
        setup.execute("CREATE TABLE twin (id INTEGER PRIMARY KEY)")
    stop, wrote, stalls = threading.Event(), threading.Event(), []

    def write() -> None:
        with closing(sqlite3.connect(live, timeout=5, isolation_level=None)) as writer:
            while not stop.is_set():
                began = timezone.now()
                writer.execute("BEGIN IMMEDIATE")
                writer.execute("INSERT INTO other DEFAULT VALUES")
                writer.execute("INSERT INTO twin DEFAULT VALUES")
                writer.execute("COMMIT")
                stalls.append(timezone.now() - began)
                wrote.set()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert wrote.wait(5)
        before = len(stalls)
        counts = [back_up("archive", where).manifest.tables or {} for _ in range(3)]
        after = len(stalls)
    finally:
        stop.set()
        thread.join()
    assert after > before + 10
    for tables in counts:
        assert tables["other"] == tables["twin"]
    assert counts[0]["other"] < counts[1]["other"] < counts[2]["other"]
    assert max(stalls) < timedelta(seconds=1)


def test_files_are_private_whatever_the_umask(sqlite_file: Add, tmp_path: Path) -> None:
    fill(sqlite_file("archive"))
    settings = {"backups": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {}}}
    for number, configured in enumerate(({}, settings)):
        folder = tmp_path / f"new{number}" / "backups"
        if configured:
            settings["backups"]["OPTIONS"] = {"location": folder}
        before = os.umask(0)
        try:
            back_up("archive", destination.choose(alias="backups", configured=configured, root=folder))
        finally:
            os.umask(before)
        assert [folder.parent.stat().st_mode & 0o777, folder.stat().st_mode & 0o777] == [0o700, 0o700]
        assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600, 0o600]


def test_a_storage_without_a_folder_takes_it_too(sqlite_file: Add, tmp_path: Path) -> None:
    fill(sqlite_file("archive"))
    storage = InMemoryStorage()
    where = Destination(storage, 'STORAGES["backups"]', tmp_path / "temp", timedelta(days=1))
    backup = back_up("archive", where).manifest
    assert sorted(storage.listdir("")[1]) == [backup.file, backup.name]
    with storage.open(backup.file) as file:
        assert hashlib.sha256(file.read()).hexdigest() == backup.stored_sha256
    assert list((tmp_path / "temp").iterdir()) == []


def test_retention_counts_each_database_by_itself(sqlite_file: Add, where: Destination) -> None:
    fill(sqlite_file("default_archive"))
    fill(sqlite_file("default2"))
    others = [back_up("default_archive", where).manifest.id for _ in range(3)]
    plan = create.plan(alias="default2", destinations=(where,), rules=Rules(last=2))
    made: list[str] = []
    removed: list[str] = []
    for _ in range(4):
        foreseen = create.foresee(plan, now=timezone.now())
        backup = create.create(plan, holder="test", ttl=TTL, clock=timezone.now)
        assert backup.removed == foreseen
        made.append(backup.manifest.id)
        removed += backup.removed
    assert (ids(where, "default2"), removed) == (made[2:], made[:2])
    assert ids(where, "default_archive") == others
    assert len(catalog.read(where.storage).files) == 5


def test_leftovers_of_killed_runs_go_and_nothing_else(sqlite_file: Add, where: Destination, folder: Path) -> None:
    fill(sqlite_file("default_archive"))
    fill(sqlite_file("default2"))
    other = back_up("default_archive", where).manifest
    ours = back_up("default2", where).manifest
    yesterday, tomorrow = timezone.now() - timedelta(days=1), timezone.now() + timedelta(days=1)
    left = data_name(new_id(yesterday), "default2", "sqlite")
    (folder / left).write_bytes(b"half")
    (folder / f"{catalog.STAGING}{left}").mkdir()
    (folder / f"{catalog.STAGING}{left}" / "copy").write_bytes(b"half")
    stay = [
        data_name(new_id(tomorrow), "default2", "sqlite"),
        data_name(new_id(yesterday), "default_archive", "sqlite"),
        f"{catalog.STAGING}{data_name(new_id(yesterday), 'default_archive', 'sqlite')}",
        "default2.sqlite3.zst",
        "notes.txt",
    ]
    for name in stay:
        (folder / name).write_bytes(b"")
    unreadable = new_id(yesterday)
    stay += [manifest_name(unreadable), data_name(unreadable, "default2", "sqlite")]
    for name in stay[-2:]:
        (folder / name).write_bytes(b"{")

    backup = back_up("default2", where, keep_last=9)
    assert (backup.swept, backup.removed, backup.broken) == (2, (), (manifest_name(unreadable),))
    kept = [one.file for one in (other, ours, backup.manifest)] + [one.name for one in (other, ours, backup.manifest)]
    assert names(folder) == sorted(kept + stay)


def test_the_machines_temp_folder_is_swept_after_a_day_only(sqlite_file: Add, tmp_path: Path) -> None:
    fill(sqlite_file("archive"))
    temp = tmp_path / "temp"
    where = Destination(InMemoryStorage(), "memory", temp, timedelta(days=1))
    now = timezone.now()
    young, old = (data_name(new_id(now - timedelta(hours=h)), "archive", "sqlite") for h in (23, 25))
    for name in (young, old):
        (temp / f"{catalog.STAGING}{name}").mkdir(parents=True)
    assert back_up("archive", where).swept == 1
    assert names(temp) == [f"{catalog.STAGING}{young}"]


class Failing(FileSystemStorage):
    """A storage that fails while it takes the file number ``at``, after half of it."""

    def __init__(self, location: Path, number: int, *, at: int) -> None:
        super().__init__(location=location)
        self.number, self.at, self.taken = number, at, 0

    def _save(self, name: str, content: Any) -> str:
        self.taken += 1
        if self.taken == self.at:
            Path(self.path(name)).write_bytes(b"half")
            raise OSError(self.number, os.strerror(self.number))
        return str(super()._save(name, content))  # type: ignore[misc]


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize(
    ("number", "error", "code"),
    [(errno.EROFS, CannotWrite, 73), (errno.EACCES, CannotWrite, 73), (errno.ENOSPC, OutOfSpace, 1)],
)
def test_a_storage_that_cannot_take_it_keeps_nothing(
    sqlite_file: Add, folder: Path, at: int, number: int, error: type[CannotWrite], code: int
) -> None:
    fill(sqlite_file("archive"))
    folder.mkdir()
    storage = Failing(folder, number, at=at)
    with pytest.raises(error) as caught:
        back_up("archive", Destination(storage, str(folder), folder, timedelta(0)))
    assert caught.value.exit_code == code
    assert str(folder) in str(caught.value)
    assert names(folder) == []
    assert lease.find("backup:archive") is None


def test_a_folder_that_cannot_be_made_is_named(sqlite_file: Add, tmp_path: Path) -> None:
    fill(sqlite_file("archive"))
    (tmp_path / "file").touch()
    where = destination.choose(alias="backups", configured={}, root=tmp_path / "file" / "backups")
    with pytest.raises(CannotWrite) as caught:
        back_up("archive", where)
    assert str(tmp_path / "file" / "backups") in str(caught.value)


class Renaming(InMemoryStorage):
    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return f"other-{name}"


class Shortening(InMemoryStorage):
    def size(self, name: str) -> int:
        return int(super().size(name)) - 1


@pytest.mark.parametrize("storage", [Renaming(), Shortening()])
def test_a_storage_that_stores_something_else_is_caught(sqlite_file: Add, tmp_path: Path, storage: Storage) -> None:
    fill(sqlite_file("archive"))
    with pytest.raises(StoredDiffers) as caught:
        back_up("archive", Destination(storage, "memory", tmp_path / "temp", timedelta(days=1)))
    assert caught.value.exit_code == 5
    assert storage.listdir("")[1] == []


def test_a_damaged_database_is_not_stored(sqlite_file: Add, where: Destination, folder: Path) -> None:
    live = sqlite_file("archive")
    fill(live, rows=2000, wal=False)
    with live.open("r+b") as file:
        file.seek(20 * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises((CopyDamaged, SnapshotFailed)):
        back_up("archive", where)
    assert names(folder) == []


def test_a_check_constraint_may_use_djangos_functions(sqlite_file: Add, where: Destination) -> None:
    live = sqlite_file("archive")
    with closing(sqlite3.connect(live)) as setup, setup:
        setup.create_function("REGEXP", 2, lambda pattern, text: True, deterministic=True)
        setup.execute("CREATE TABLE checked (code TEXT CHECK (code REGEXP '^[a-z]+$'))")
        setup.execute("INSERT INTO checked VALUES ('abc')")
    assert back_up("archive", where).manifest.tables == {"checked": 1}


def test_a_locked_database_is_an_error_not_a_wait_for_ever(sqlite_file: Add, where: Destination, folder: Path) -> None:
    live = sqlite_file("archive")
    fill(live, wal=False)
    source = engines.source("archive")
    assert isinstance(source, sqlite.Source)
    impatient = replace(source, timeout=0.05)
    with closing(sqlite3.connect(live, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SnapshotFailed, match="database is locked"):
            create.create(create.Plan(impatient, (where,)), holder="test", ttl=TTL, clock=timezone.now)
    assert names(folder) == []


def test_a_second_run_is_refused_and_the_same_holder_takes_over(sqlite_file: Add, where: Destination) -> None:
    fill(sqlite_file("archive"))
    assert lease.acquire("backup:archive", holder="task 1", ttl=TTL)
    with pytest.raises(LockHeld) as caught:
        back_up("archive", where, holder="task 2")
    assert (caught.value.exit_code, caught.value.facts["holder"]) == (4, "task 1")
    back_up("archive", where, holder="task 1")
    assert lease.find("backup:archive") is None


def test_a_run_that_lost_its_lock_stores_nothing(sqlite_file: Add, where: Destination, folder: Path) -> None:
    fill(sqlite_file("archive"))
    plan = create.plan(alias="archive", destinations=(where,))
    moments = iter([timezone.now])

    def clock() -> Any:
        # The second look at the clock is the last step before the manifest is stored.
        if next(moments, None) is None:
            lease.release("backup:archive", holder="test")
        return timezone.now()

    with pytest.raises(LeaseLost) as caught:
        create.create(plan, holder="test", ttl=TTL, clock=clock)
    assert caught.value.exit_code == 4
    assert names(folder) == []


def test_the_lock_is_renewed_while_it_works(sqlite_file: Add, where: Destination, monkeypatch: Any) -> None:
    fill(sqlite_file("archive"), rows=20_000)
    renewed: list[str] = []
    real = lease.renew

    def renew(name: str, **options: Any) -> bool:
        renewed.append(name)
        return real(name, **options)

    monkeypatch.setattr(lease, "renew", renew)
    plan = create.plan(alias="archive", destinations=(where,))
    create.create(plan, holder="test", ttl=timedelta(milliseconds=3000), clock=timezone.now)
    assert renewed == ["backup:archive"]
    monkeypatch.setattr("maintenance.backups.pulse.time.monotonic", iter(range(0, 10**6, 10)).__next__)
    create.create(plan, holder="test", ttl=timedelta(seconds=30), clock=timezone.now)
    assert len(renewed) > 3


def test_a_missing_file_is_never_created(sqlite_file: Add, where: Destination, tmp_path: Path) -> None:
    live = sqlite_file("archive")
    fill(live)
    plan = create.plan(alias="archive", destinations=(where,))
    live.unlink()
    with pytest.raises(SnapshotFailed, match="unable to open database file"):
        create.create(plan, holder="test", ttl=TTL, clock=timezone.now)
    with pytest.raises(DatabaseMissing) as caught:
        create.plan(alias="archive", destinations=(where,))
    assert caught.value.exit_code == 69
    assert not live.exists()
