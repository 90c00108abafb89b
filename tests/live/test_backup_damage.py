"""Damaged backups of every engine: verify and restore end with 5, and the database stays as it is."""

import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Outcome
from tests.databases import Live, content, run
from tests.servers import missing

Run = Callable[..., Outcome]
RESTORE = ("--noinput", "--yes-i-mean=archive", "--no-safety-backup")
# https://age-encryption.org/v1: chunks of 64 KiB, each with a tag of 16 bytes, after a nonce of 16.
AGE_CHUNK, AGE_TAG = 65536, 16
flips = pytest.mark.parametrize("flips", [8, pytest.param(100, marks=pytest.mark.soak)])
every_engine = pytest.mark.parametrize("live", ["sqlite", "sqlite without WAL", "postgresql", "mysql"], indirect=True)
every_form = pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])


@pytest.fixture
def folder(tmp_path: Path, settings: Any, encrypted: bool) -> Path:
    """Where the backups are stored, encrypted or not."""
    where = tmp_path / "backups"
    settings.MAINTENANCE = {"BACKUPS": {"ROOT": where}}
    if encrypted:
        key = tmp_path / "key"
        try:
            subprocess.run(["age-keygen", "-o", key], check=True, capture_output=True)
        except FileNotFoundError:
            missing("age")
        public = key.read_text().partition("public key: ")[2].split()[0]
        settings.MAINTENANCE["BACKUPS"] |= {"RECIPIENTS": [public], "IDENTITY": key}
    return where


def fill(live: Live) -> None:
    """Make a table that takes several chunks of age, and several blocks of zstd."""
    noise = random.Random(4).randbytes(300_000).hex()
    connection = live.connect()
    run(connection, f"CREATE TABLE noise (id INTEGER, text {'LONGTEXT' if live.engine == 'mysql' else 'TEXT'})")
    run(connection, f"INSERT INTO noise VALUES (1, '{noise}')", "INSERT INTO noise VALUES (2, 'two')")  # noqa: S608
    connection.close()


def blocks(stored: bytes) -> list[int]:
    """Return where zstd's blocks begin and the last one ends. RFC 8878, 3.1.1."""
    descriptor = stored[4]
    single, dictionary, size = descriptor >> 5 & 1, descriptor & 3, descriptor >> 6
    at = 5 + (not single) + (0, 1, 2, 4)[dictionary] + ((1 if single else 0), 2, 4, 8)[size]
    found, last = [at], False
    while not last:
        header = int.from_bytes(stored[at : at + 3], "little")
        last, kind, length = bool(header & 1), header >> 1 & 3, header >> 3
        at += 3 + (1 if kind == 1 else length)
        found.append(at)
    return found


def chunks(stored: bytes) -> list[int]:
    """Return where age's chunks begin."""
    first = stored.index(b"\n", stored.index(b"\n--- ") + 1) + 1 + AGE_TAG
    return list(takewhile(lambda at: at < len(stored), count(first, AGE_CHUNK + AGE_TAG)))


@contextmanager
def kept(file: Path) -> Iterator[bytes]:
    """Give a file's bytes, and put them back."""
    whole = file.read_bytes()
    try:
        yield whole
    finally:
        file.write_bytes(whole)


def refused(run: Run, *args: str) -> None:
    out, err, code = run(*args)
    assert (out, code) == ("", 5), f"{args}: {out}{err}"
    assert "damaged" in err


@pytest.mark.services
@pytest.mark.timeout(3600)
@every_form
@every_engine
@flips
def test_bytes_that_are_cut_or_changed_are_never_restored(live: Live, folder: Path, run: Run, flips: int) -> None:
    fill(live)
    assert run("backup", "--database=archive")[2] == 0
    connection = live.connect()
    connection.cursor().execute("INSERT INTO noise VALUES (3, 'made after the backup')")
    connection.close()
    (file,) = folder.glob("*.archive.*.zst*")
    before = content(live)
    with kept(file) as whole:
        boundaries = chunks(whole) if file.suffix == ".age" else blocks(whole)
        assert len(boundaries) > 4
        cuts = [0, len(whole) * 6 // 10, len(whole) - 4, len(whole) - 1, *boundaries[:3], *boundaries[-2:]]
        stride = len(whole) / flips
        places = [random.randrange(int(n * stride), int((n + 1) * stride)) for n in range(flips)]
        broken = [whole[:cut] for cut in cuts if cut < len(whole)]
        broken += [whole[:at] + bytes([whole[at] ^ 1 << random.randrange(8)]) + whole[at + 1 :] for at in places]
        for stored in broken:
            file.write_bytes(stored)
            refused(run, "restore_backup", file.name.partition(".")[0], *RESTORE)
        for stored, level in zip(broken, ["hash", "decode"] * len(broken), strict=False):
            file.write_bytes(stored)
            out, err, code = run("verify_backup", file.name.partition(".")[0], f"--level={level}")
            assert (code, "damaged" in err) == (5, True), out
    assert content(live) == before
    assert run("restore_backup", "latest", "--database=archive", *RESTORE)[2] == 0
    assert content(live) != before


@pytest.mark.services
@every_form
@every_engine
def test_data_or_manifests_that_are_swapped_edited_or_gone(live: Live, folder: Path, run: Run) -> None:
    fill(live)
    for _ in range(2):
        assert run("backup", "--database=archive")[2] == 0
    before = content(live)
    (old, new), (first, second) = sorted(folder.glob("*.archive.*.zst*")), sorted(folder.glob("*.manifest.json"))
    with kept(old) as ours, kept(new) as theirs, kept(first) as about, kept(second) as other:
        old.write_bytes(theirs)
        new.write_bytes(ours + b"")
        if ours != theirs:
            refused(run, "restore_backup", old.name.partition(".")[0], *RESTORE)
            refused(run, "restore_backup", new.name.partition(".")[0], *RESTORE)
        old.write_bytes(ours)
        new.write_bytes(theirs)
        first.write_bytes(other)
        assert run("restore_backup", old.name.partition(".")[0], *RESTORE)[2] == 1, "a manifest of another backup"
        for name in ("stored_sha256", "plain_sha256"):
            mark = f'"{name}": "'.encode()
            at = about.index(mark) + len(mark)
            digit = b"0" if about[at : at + 1] != b"0" else b"1"
            first.write_bytes(about[:at] + digit + about[at + 1 :])
            refused(run, "restore_backup", old.name.partition(".")[0], *RESTORE)
        first.unlink()
        assert run("restore_backup", old.name.partition(".")[0], *RESTORE)[2] == 1, "there is no such backup"
    assert content(live) == before
