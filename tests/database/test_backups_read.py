"""Backups on their way back, SQLite: proven, restored over the live database or beside it, or refused."""

import hashlib
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from maintenance import lease
from maintenance.backups import catalog, create, destination, restore, scratch, verify
from maintenance.backups.destination import Destination
from maintenance.backups.errors import Damaged, NameTaken, OtherDatabase
from maintenance.backups.manifest import Manifest
from maintenance.backups.shelves import Place
from maintenance.backups.sidecars import LEVELS, Entry, Verified

pytestmark = pytest.mark.django_db
TTL = timedelta(minutes=5)
Add = Callable[[str], Path]
# NUL, CRLF, what ends a statement, emoji, a line separator, binary, microseconds, decimals, NULL beside '', JSON.
AWKWARD: list[tuple[Any, ...]] = [
    ("a\0b", b"\0\xff\x1a\r\n", "2026-11-22 03:04:05.678901", "12345678901234567890.123456789", None, "{}"),
    ("a\r\nb\n", b"", "0001-01-01 00:00:00", "-0.10", "", '{"k": [1, null, "ü"]}'),
    ("');\n-- \\. $$", os.urandom(200), "9999-12-31 23:59:59.999999", "1e-7", "NULL", '"\\u2028"'),
    ("😀 \u2028 ü \\N", b"\\x00", "2026-03-29 02:30:00", "0", "'", "[]"),
]
SCHEMA = """
PRAGMA journal_mode={journal};
CREATE TABLE parent (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE);
CREATE TABLE entry (
    id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT, raw BLOB, at TEXT, amount TEXT, maybe TEXT,
    doc TEXT CHECK (json_valid(doc)),
    parent INTEGER REFERENCES parent (id), long INTEGER GENERATED ALWAYS AS (length(text)) STORED
);
CREATE INDEX entry_text ON entry (text COLLATE NOCASE) WHERE maybe IS NOT NULL;
CREATE VIEW short AS SELECT id, text FROM entry WHERE long < 4;
CREATE TABLE log (what TEXT);
CREATE TRIGGER entry_logged AFTER INSERT ON entry BEGIN INSERT INTO log VALUES ('in ' || new.id); END;
CREATE TABLE django_migrations (id INTEGER PRIMARY KEY, app TEXT, name TEXT, applied TEXT);
INSERT INTO django_migrations (app, name) VALUES ('auth', '0001_initial'), ('auth', '0002_more');
INSERT INTO parent (name) VALUES ('one'), ('two');
DELETE FROM parent WHERE name = 'two';
"""


def fill(path: Path, *, rows: int = 200, wal: bool = True) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as live:
        live.executescript(SCHEMA.format(journal="wal" if wal else "delete"))
        values = [(*AWKWARD[n % len(AWKWARD)], 1) for n in range(rows)]
        live.execute("BEGIN")
        live.executemany("INSERT INTO entry (text, raw, at, amount, maybe, doc, parent) VALUES (?,?,?,?,?,?,?)", values)
        live.execute("COMMIT")


def content(path: Path) -> str:
    """Return a hash of everything in a database: its schema and all rows of all tables."""
    digest = hashlib.sha256()
    with closing(sqlite3.connect(path)) as database:
        schema = database.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2").fetchall()
        digest.update(repr(schema).encode())
        for table in sorted(name for kind, name, _ in schema if kind == "table"):
            rows = database.execute(f'SELECT * FROM "{table}"').fetchall()  # noqa: S608 # names of our own
            digest.update(repr((table, rows)).encode())
    return digest.hexdigest()


@pytest.fixture
def where(tmp_path: Path) -> Destination:
    return destination.choose(alias="backups", configured={}, root=tmp_path / "backups")


def back_up(alias: str, where: Destination) -> Manifest:
    plan = create.plan(alias=alias, destinations=(where,))
    return create.create(plan, holder="test", ttl=TTL, clock=timezone.now).manifest


def put_back(where: Destination, backup: Manifest, *, safety: Callable[[], str] = lambda: "", **how: Any) -> Any:
    plan = restore.plan(Place(where, Entry(backup)), **how)
    return restore.restore(plan, holder="test", ttl=TTL, identity=None, safety=safety)


def known(where: Destination, backup: Manifest) -> Verified | None:
    return catalog.learnt(where.storage, backup, Verified)


@pytest.mark.parametrize("wal", [True, False])
def test_everything_comes_back_as_it_was(sqlite_file: Add, where: Destination, wal: bool) -> None:
    live = sqlite_file("archive")
    fill(live, wal=wal)
    before = content(live)
    backup = back_up("archive", where)
    with closing(sqlite3.connect(live, isolation_level=None)) as open_all_the_time:
        open_all_the_time.execute("INSERT INTO parent (name) VALUES ('made after the backup')")
        open_all_the_time.execute("CREATE TABLE made_after (id INTEGER)")
        open_all_the_time.execute("DELETE FROM entry WHERE id > 5")
        open_all_the_time.execute("DROP VIEW short")
        restored = put_back(where, backup)
        # A connection that was open meanwhile sees the old content come back, and writes into it.
        assert open_all_the_time.execute("SELECT count(*) FROM entry").fetchone() == (200,)
        assert content(live) == before
        open_all_the_time.execute("INSERT INTO parent (name) VALUES ('next')")
        assert open_all_the_time.execute("SELECT max(id) FROM parent").fetchone() == (3,), "the sequence goes on"
        assert open_all_the_time.execute("PRAGMA journal_mode").fetchone() == ("wal" if wal else "delete",)
    assert restored.found.tables == backup.tables
    assert list(where.staging.glob(".*")) == []


def test_each_level_proves_more_and_is_noted(sqlite_file: Add, where: Destination) -> None:
    fill(sqlite_file("archive"))
    backup = back_up("archive", where)
    for number, level in enumerate(LEVELS):
        now = timezone.now() + timedelta(hours=number)
        found = verify.verify(where, backup, level=level, now=now)
        assert (found, found.tables) == (known(where, backup), backup.tables if level == "restore" else None)
        assert found == Verified(level, now, ok=True, tables=found.tables, versions=found.versions)
    later = timezone.now() + timedelta(days=1)
    assert verify.verify(where, backup, level="hash", now=later).level == "hash"
    proven = known(where, backup)
    assert proven is not None
    assert proven.level == "restore", "what was proven is not forgotten for less"
    assert catalog.read(where.storage).entries[0].verified == proven


def damaged(stored: bytes) -> list[tuple[str, bytes]]:
    """Return what may happen to a file: cut off, or one bit flipped at 100 places."""
    cuts = [0, 4, 6 * len(stored) // 10, len(stored) - 4, len(stored) - 1]
    flips = [place * (len(stored) - 1) // 99 for place in range(100)]
    return [
        *((f"cut to {size}", stored[:size]) for size in cuts),
        ("longer", stored + b"\0"),
        ("twice", stored + stored),
        *((f"bit {place % 8} of byte {place} flipped", flipped(stored, place)) for place in flips),
    ]


def flipped(stored: bytes, place: int) -> bytes:
    return stored[:place] + bytes([stored[place] ^ 1 << place % 8]) + stored[place + 1 :]


def test_no_damage_passes_and_the_live_database_stays(sqlite_file: Add, where: Destination) -> None:
    live = sqlite_file("archive")
    fill(live)
    backup = back_up("archive", where)
    file = where.staging / backup.file
    before, whole = content(live), file.read_bytes()
    for what, stored in damaged(whole):
        file.write_bytes(stored)
        for level in LEVELS:
            with pytest.raises(Damaged) as caught:
                verify.verify(where, backup, level=level, now=timezone.now())
            assert caught.value.exit_code == 5, what
        with pytest.raises(Damaged):
            put_back(where, backup, safety=lambda: pytest.fail("damage is found before anything else"))
        noted = known(where, backup)
        assert noted is not None
        assert not noted.ok
        assert noted.reason
    assert content(live) == before
    file.write_bytes(whole)
    assert verify.verify(where, backup, level="restore", now=timezone.now()).ok
    put_back(where, backup)
    file.unlink()
    with pytest.raises(Damaged, match="is gone"):
        put_back(where, backup)
    there = catalog.read(where.storage)
    assert (there.entries, there.lost) == ((), (backup,))


def test_a_manifest_that_tells_something_else_is_believed_nothing(sqlite_file: Add, where: Destination) -> None:
    live = sqlite_file("archive")
    fill(live)
    backup = back_up("archive", where)
    fill(sqlite_file("other"), rows=7)
    other = back_up("other", where)
    before = content(live)
    swapped = replace(backup, plain_bytes=other.plain_bytes, plain_sha256=other.plain_sha256)
    for wrong in (
        swapped,
        replace(backup, stored_sha256=other.stored_sha256),
        replace(backup, tables={**(backup.tables or {}), "entry": 201}),
        replace(backup, tables={"entry": 200}),
        replace(backup, tables={**(backup.tables or {}), "lost": 0}),
        replace(backup, migrations={"auth": ("0003_never",)}),
    ):
        with pytest.raises(Damaged):
            verify.verify(where, wrong, level="restore", now=timezone.now())
        with pytest.raises(Damaged):
            put_back(where, wrong)
    assert content(live) == before
    (where.staging / backup.file).write_bytes((where.staging / other.file).read_bytes())
    with pytest.raises(Damaged):
        put_back(where, backup)
    assert content(live) == before


def test_another_database_is_refused(sqlite_file: Add, where: Destination) -> None:
    archive, other = sqlite_file("archive"), sqlite_file("other")
    fill(archive)
    backup = back_up("archive", where)
    with pytest.raises(OtherDatabase) as caught:
        put_back(where, backup, alias="other")
    assert (caught.value.exit_code, "--force" in str(caught.value)) == (4, True)
    put_back(where, backup, alias="other", force=True)
    assert content(other) == content(archive)


def test_it_is_restored_beside(sqlite_file: Add, where: Destination, tmp_path: Path) -> None:
    live = sqlite_file("archive")
    fill(live)
    backup = back_up("archive", where)
    target = tmp_path / "beside.sqlite3"
    put_back(where, backup, into=str(target), safety=lambda: pytest.fail("nothing is replaced"))
    assert (content(target), target.stat().st_mode & 0o777) == (content(live), 0o600)
    with pytest.raises(NameTaken):
        put_back(where, backup, into=str(target))


def test_a_lost_file_is_made_anew(sqlite_file: Add, where: Destination) -> None:
    live = sqlite_file("archive")
    fill(live)
    before, backup = content(live), back_up("archive", where)
    for path in live.parent.glob("archive.sqlite3*"):
        path.unlink()
    put_back(where, backup)
    assert content(live) == before


def test_another_page_size_fits(sqlite_file: Add, where: Destination) -> None:
    live = sqlite_file("archive")
    fill(live)
    rows = content(live)
    backup = back_up("archive", where)
    for path in live.parent.glob("archive.sqlite3*"):
        path.unlink()
    with closing(sqlite3.connect(live, isolation_level=None)) as other:
        other.executescript("PRAGMA page_size=8192; CREATE TABLE a (b); PRAGMA journal_mode=wal")
        put_back(where, backup)
        assert other.execute("PRAGMA page_size").fetchone() == (8192,)
    assert content(live) == rows


def test_the_safety_backup_comes_after_the_proof_and_before_the_change(sqlite_file: Add, where: Destination) -> None:
    live = sqlite_file("archive")
    fill(live)
    backup = back_up("archive", where)
    with closing(sqlite3.connect(live)) as now, now:
        now.execute("DELETE FROM entry")
    changed = content(live)
    seen: list[str] = []

    def safety() -> str:
        seen.append(content(live))
        return back_up("archive", where).id

    restored = put_back(where, backup, safety=safety)
    assert (seen, restored.safety) == ([changed], catalog.read(where.storage).backups[-1].id)
    assert lease.find("backup:archive") is None
    put_back(where, catalog.read(where.storage).backups[-1])
    assert content(live) == changed


def test_what_a_killed_run_unpacked_is_swept_and_a_living_ones_is_not(where: Destination) -> None:
    where.staging.mkdir()
    dead = where.staging / f"{scratch.PREFIX}dead"
    dead.mkdir()
    with scratch.folder(where) as mine:
        assert not dead.exists()
        with scratch.folder(where) as other:
            assert (mine.exists(), other.exists()) == (True, True)
    assert list(where.staging.iterdir()) == []
