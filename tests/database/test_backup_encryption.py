"""Encrypted backups: to public keys only, readable by age's own program, and to nobody else."""

import io
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from maintenance.backups import crypt
from maintenance.backups.errors import BadRecipient, EncryptionMissing
from tests.conftest import Outcome
from tests.database.test_backups import content, fill
from tests.servers import missing

pytestmark = pytest.mark.django_db
Run = Callable[..., Outcome]
Add = Callable[[str], Path]


class Key:
    """A pair of keys, made by age's own program."""

    def __init__(self, folder: Path, name: str) -> None:
        if shutil.which("age-keygen") is None:
            missing("age")
        self.file = folder / name
        subprocess.run(["age-keygen", "-o", self.file], check=True, capture_output=True)
        found = re.search(r"public key: (age1\w+)", self.file.read_text())
        assert found
        self.public = found[1]

    def decrypts(self, stored: Path, plain: Path) -> bool:
        pipe = f"age -d -i '{self.file}' '{stored}' | zstd -q -d -f -o '{plain}'"
        return subprocess.run(["bash", "-o", "pipefail", "-c", pipe], capture_output=True).returncode == 0


@pytest.fixture
def folder(tmp_path: Path, sqlite_file: Add) -> Path:
    fill(sqlite_file("archive"))
    return tmp_path / "backups"


def test_each_recipient_reads_it_with_ages_program_and_nobody_else(
    run: Run, folder: Path, tmp_path: Path, settings: Any
) -> None:
    one, two, other = (Key(tmp_path, name) for name in ("one", "two", "other"))
    settings.MAINTENANCE = {"BACKUPS": {"ROOT": folder, "RECIPIENTS": [one.public, two.public]}}
    out, err, code = run("backup", "--database=archive")
    assert (err, code) == ("", 0)
    assert re.search(r": [\d.]+ KB, encrypted in '", out)
    (stored,) = folder.glob("*.archive.sqlite3.zst.age")
    assert b"SQLite format" not in stored.read_bytes()
    for key in (one, two):
        assert key.decrypts(stored, tmp_path / "plain")
        assert content(tmp_path / "plain") == content(tmp_path / "archive.sqlite3")
    assert not other.decrypts(stored, tmp_path / "nothing")


def test_flags_decide_against_the_settings(run: Run, folder: Path, tmp_path: Path, settings: Any) -> None:
    settings.MAINTENANCE = {"BACKUPS": {"ROOT": folder, "RECIPIENTS": [Key(tmp_path, "key").public]}}
    assert run("backup", "--database=archive", "--no-encrypt")[1:] == ("", 0)
    assert len(list(folder.glob("*.archive.sqlite3.zst"))) == 1
    assert run("backup", "--database=archive", "--encrypt", "--dry-run") == (
        f"Would back up 'archive' (SQLite, about 24.6 KB) to '{folder}', encrypted to 1 key.\n",
        "",
        0,
    )
    settings.MAINTENANCE = {"BACKUPS": {"ROOT": folder}}
    err = (
        "CommandError: Nothing can be encrypted: BACKUPS.RECIPIENTS has no public key. "
        "Make a pair with `age-keygen -o key.txt`, keep key.txt elsewhere, and put its public key there.\n"
    )
    assert run("backup", "--database=archive", "--encrypt") == ("", err, 2)


def test_a_private_key_in_the_settings_is_refused_and_not_shown(
    run: Run, folder: Path, tmp_path: Path, settings: Any
) -> None:
    secret = Key(tmp_path, "key").file.read_text().split()[-1]
    settings.MAINTENANCE = {"BACKUPS": {"ROOT": folder, "RECIPIENTS": [secret]}}
    out, err, code = run("backup", "--database=archive")
    assert err.startswith("CommandError: 'AGE-SECRET-KEY-…' is no public key of age: ")
    assert (out, code, secret[20:] in err) == ("", 2, False)
    assert not folder.exists()


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyrage", None)
    with pytest.raises(EncryptionMissing) as caught:
        crypt.encryption(["age1x"])
    assert str(caught.value) == (
        "Encryption needs the package pyrage, which is not installed. Run `pip install pyrage`."
    )


def test_a_misspelt_key_is_named() -> None:
    with pytest.raises(BadRecipient) as caught:
        crypt.encryption(["age1nope"])
    assert str(caught.value).startswith("'age1nope' is no public key of age: ")


@pytest.mark.parametrize("error", [KeyError("source"), OSError(28, "No space left on device")])
@pytest.mark.parametrize("side", ["read", "write"])
def test_errors_of_either_side_come_through_as_they_are(error: Exception, side: str, tmp_path: Path) -> None:
    encrypt = crypt.encryption([Key(tmp_path, "key").public])

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if side == "read":
                raise error
            return super().read(size)

        def write(self, data: Any, /) -> int:
            if side == "write":
                raise error
            return super().write(data)

    with pytest.raises(type(error)) as caught:
        encrypt(Failing(b"x" * 100_000), Failing())
    assert caught.value is error


def test_it_is_read_with_its_private_key_only(run: Run, folder: Path, tmp_path: Path, settings: Any) -> None:
    key, other = Key(tmp_path, "key"), Key(tmp_path, "other")
    given = {"ROOT": folder, "RECIPIENTS": [key.public]}
    settings.MAINTENANCE = {"BACKUPS": given}
    assert run("backup", "--database=archive")[2] == 0
    (stored,) = folder.glob("*.zst.age")
    id_, before = stored.name.partition(".")[0], content(tmp_path / "archive.sqlite3")
    sure = ("restore_backup", id_, "--noinput", "--yes-i-mean=archive", "--no-safety-backup")
    assert run("verify_backup", id_, "--level=hash")[1:] == ("", 0)
    err = (
        f"CommandError: Backup '{id_}' is encrypted, and no private key is known. "
        f'Set MAINTENANCE["BACKUPS"]["IDENTITY"] to the file with the private key of one of: {key.public}.\n'
    )
    assert run("verify_backup", id_) == run(*sure) == ("", err, 2)
    settings.MAINTENANCE = {"BACKUPS": {**given, "IDENTITY": other.file}}
    err = f"CommandError: The key in '{other.file}' does not open backup '{id_}'. It is encrypted to: {key.public}.\n"
    assert run("verify_backup", id_) == run(*sure) == ("", err, 2)
    settings.MAINTENANCE = {"BACKUPS": {**given, "IDENTITY": tmp_path / "nothing"}}
    err = (
        f"CommandError: The private key file '{tmp_path}/nothing' cannot be used: No such file or directory. "
        "It must be what `age-keygen` wrote, and readable for this user only.\n"
    )
    assert run("verify_backup", id_) == ("", err, 2)
    settings.MAINTENANCE = {"BACKUPS": {**given, "IDENTITY": key.file}}
    assert run("verify_backup", id_)[1:] == ("", 0)
    assert run(*sure)[1:] == ("", 0)
    assert content(tmp_path / "archive.sqlite3") == before


def test_no_damage_of_an_encrypted_one_passes(run: Run, folder: Path, tmp_path: Path, settings: Any) -> None:
    key = Key(tmp_path, "key")
    settings.MAINTENANCE = {"BACKUPS": {"ROOT": folder, "RECIPIENTS": [key.public], "IDENTITY": key.file}}
    fill_more(tmp_path / "archive.sqlite3")
    assert run("backup", "--database=archive")[2] == 0
    (stored,) = folder.glob("*.zst.age")
    id_, whole, before = stored.name.partition(".")[0], stored.read_bytes(), content(tmp_path / "archive.sqlite3")
    # The header ends with a line of its own; then come 16 bytes, and chunks of 64 KiB with 16 bytes each.
    body = whole.index(b"\n---") + len(b"\n--- ") + 43 + 1 + 16
    chunks = [body + number * (65_536 + 16) for number in range(1, 3)]
    assert len(whole) > chunks[-1]
    cuts = [0, 60 * len(whole) // 100, len(whole) - 4, len(whole) - 1, body, *chunks]
    flips = [place * (len(whole) - 1) // 99 for place in range(100)]
    damaged = [whole[:size] for size in cuts]
    damaged += [whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :] for at in flips]
    for content_of_file in damaged:
        stored.write_bytes(content_of_file)
        assert run("verify_backup", id_)[2] == 5
        assert run("restore_backup", id_, "--noinput", "--yes-i-mean=archive")[2] == 5
    assert content(tmp_path / "archive.sqlite3") == before
    assert len(list(folder.glob("*.manifest.json"))) == 1


def fill_more(path: Path) -> None:
    with closing(sqlite3.connect(path)) as live, live:
        live.executemany("INSERT INTO entry (raw) VALUES (?)", [(os.urandom(1000),) for _ in range(200)])
