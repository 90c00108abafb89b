"""Encrypted backups: to public keys only, readable by age's own program, and to nobody else."""

import io
import re
import shutil
import subprocess
from collections.abc import Callable
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
