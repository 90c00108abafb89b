"""backup_media, through its door."""

import json
import os
import re
import subprocess
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import zstandard

from maintenance import tasks
from tests.conftest import Outcome

pytestmark = pytest.mark.django_db
Run = Callable[..., Outcome]
ID = r"\d{8}T\d{6}Z-[0-9a-f]{8}"
LONG = "deep/" * 30 + "ü" * 60 + ".txt"


@pytest.fixture
def media(tmp_path: Path, settings: Any) -> Path:
    root = tmp_path / "media"
    settings.MEDIA_ROOT = root
    settings.MAINTENANCE = {"BACKUPS": {"ROOT": root / "backups"}}
    for name, content in {"a.txt": b"", "avatars/b.png": os.urandom(3000), LONG: b"x" * 512, "avatars/c": b"y"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def stored(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the only manifest and, by path, the files in its data."""
    (name,) = folder.glob("*.manifest.json")
    manifest = json.loads(name.read_bytes())
    plain = zstandard.ZstdDecompressor().stream_reader((folder / manifest["file"]).read_bytes()).read()
    assert len(plain) == manifest["plain_bytes"]
    with tarfile.open(fileobj=BytesIO(plain)) as tar:
        return manifest, {one.name: (tar.extractfile(one) or BytesIO()).read() for one in tar.getmembers()}


def on_disk(root: Path) -> dict[str, bytes]:
    paths = [path for path in root.rglob("*") if path.is_file() and "backups" not in path.parts]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def test_every_file_is_in_the_tar_but_the_backups_themselves(run: Run, media: Path) -> None:
    (media / "loop").symlink_to(media)
    out, err, code = run("backup_media")
    said = f"Backed up 'media' (files, SIZE, 4 files in 3 folders) as ID: SIZE in '{media}/backups'.\n"
    assert (re.sub(r"[\d.]+ K?B", "SIZE", re.sub(ID, "ID", out)), err, code) == (said, "", 0)
    manifest, files = stored(media / "backups")
    assert files == on_disk(media)
    assert (manifest["alias"], manifest["kind"], manifest["engine"]) == ("media", "media", "files")
    assert manifest["tables"] == {".": 1, "avatars": 2, "deep": 1}


def test_the_command_line_tools_read_it(run: Run, media: Path, tmp_path: Path) -> None:
    run("backup_media")
    (data,) = (media / "backups").glob("*.media.tar.zst")
    (tmp_path / "out").mkdir()
    subprocess.run(f"zstd -q -d -c '{data}' | tar -x -C '{tmp_path}/out'", shell=True, check=True)  # noqa: S602 - as documented
    assert on_disk(tmp_path / "out") == on_disk(media)
    found = (tmp_path / "out" / "avatars" / "b.png").stat().st_mtime
    assert abs(found - (media / "avatars" / "b.png").stat().st_mtime) < 1


def test_files_can_be_left_out_and_are_named(run: Run, media: Path) -> None:
    assert run("backup_media", "--exclude", "avatars/*")[2] == 0
    manifest, files = stored(media / "backups")
    assert sorted(files) == ["a.txt", LONG]
    assert manifest["excluded"] == ["avatars/b.png", "avatars/c"]


def test_another_folder_and_another_storage(run: Run, media: Path, settings: Any, tmp_path: Path) -> None:
    settings.MAINTENANCE = {"BACKUPS": {"ROOT": tmp_path / "backups"}}
    settings.STORAGES = {
        **settings.STORAGES,
        "papers": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": media / "avatars"},
        },
    }
    out, err, code = run("backup_media", "--root", str(media / "avatars"), "--json")
    (one,) = json.loads(out)["backups"]
    assert (one["alias"], one["tables"], err, code) == ("media", {".": 2}, "", 0)
    out, err, code = run("backup_media", "--storage", "papers", "--json")
    (two,) = json.loads(out)["backups"]
    assert (two["alias"], two["tables"], err, code) == ("papers", {".": 2}, "", 0)


def test_a_storage_that_is_not_there(run: Run, media: Path) -> None:
    err = "CommandError: There is no storage 'nope' in STORAGES. It has: 'default', 'staticfiles'.\n"
    assert run("backup_media", "--storage", "nope") == ("", err, 2)
    err = f"CommandError: There is no folder '{media}/nope' to back up. Set MEDIA_ROOT, or pass --root or --storage.\n"
    assert run("backup_media", "--root", f"{media}/nope") == ("", err, 2)


def test_a_dry_run_writes_nothing(run: Run, media: Path) -> None:
    said = f"Would back up 'media' (files, about 3.5 KB) to '{media}/backups'.\n"
    assert run("backup_media", "--dry-run") == (said, "", 0)
    assert not (media / "backups").exists()


def test_files_that_vanish_or_grow_meanwhile(run: Run, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from maintenance.backups.engines.files import dump

    real = dump._entry

    def meddle(name: str, file: Any, changed: Any) -> Any:
        if name == "avatars/b.png":
            (media / "avatars" / "c").unlink()
        if name == LONG:
            file.size  # noqa: B018 - measured before it grows
            (media / LONG).write_bytes(b"x" * 2000)
        yield from real(name, file, changed)

    monkeypatch.setattr(dump, "_entry", meddle)
    assert run("backup_media")[2] == 0
    manifest, files = stored(media / "backups")
    assert sorted(files) == ["a.txt", "avatars/b.png", LONG]
    assert files[LONG] == b"x" * 512
    assert manifest["warnings"] == ["1 file was deleted meanwhile, 'avatars/c' for one."]


def test_a_file_that_shrinks_meanwhile_fails_it(run: Run, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from maintenance.backups.engines.files import dump

    real = dump._entry

    def meddle(name: str, file: Any, changed: Any) -> Any:
        if name == "avatars/b.png":
            file.size  # noqa: B018 - measured before it shrinks
            (media / name).write_bytes(b"")
        yield from real(name, file, changed)

    monkeypatch.setattr(dump, "_entry", meddle)
    err = "CommandError: The file 'avatars/b.png' became shorter while it was read. Nothing was stored. Run it again.\n"
    assert run("backup_media") == ("", err, 1)
    assert list((media / "backups").iterdir()) == []


def test_media_and_a_database_of_one_name_do_not_thin_out_each_other(
    run: Run, media: Path, sqlite_file: Callable[[str], Path], settings: Any
) -> None:
    settings.MAINTENANCE = {"BACKUPS": {"ROOT": media / "backups", "KEEP_LAST": 1}}
    sqlite_file("media")
    for name, *more in (("backup_media",), ("backup", "--database=media"), ("backup_media",)):
        assert run(name, *more)[2] == 0
    kinds = [json.loads(path.read_bytes())["kind"] for path in sorted((media / "backups").glob("*.manifest.json"))]
    assert sorted(kinds) == ["database", "media"]


def test_the_task_does_the_same(media: Path) -> None:
    answer = tasks.backup_media.apply().get()
    assert [one["tables"] for one in answer["backups"]] == [{".": 1, "avatars": 2, "deep": 1}]


def test_it_is_listed_verified_and_restored_into_a_new_folder(run: Run, media: Path, tmp_path: Path) -> None:
    run("backup_media")
    (name,) = (media / "backups").glob("*.manifest.json")
    id_ = name.name.partition(".")[0]
    for level in ("hash", "decode", "restore"):
        assert run("verify_backup", "--all", "--level", level)[1:] == ("", 0)
    assert json.loads(run("list_backups", "--json")[0])["backups"][0]["verified"]["tables"] == {
        ".": 1,
        "avatars": 2,
        "deep": 1,
    }
    err = (
        f"CommandError: Backup '{id_}' holds uploaded files: they are never restored over files that are there. "
        "Pass --into and the name of a new folder, then copy from it what you need.\n"
    )
    assert run("restore_backup", id_, "--noinput", "--yes-i-mean=media") == ("", err, 2)
    assert run("restore_backup", id_, "--into", str(tmp_path / "out"))[1:] == ("", 0)
    assert on_disk(tmp_path / "out") == on_disk(media)
    err = f"CommandError: '{tmp_path}/out' exists already. Give --into a new name.\n"
    assert run("restore_backup", id_, "--into", str(tmp_path / "out")) == ("", err, 4)
    data = next((media / "backups").glob("*.tar.zst"))
    data.write_bytes(data.read_bytes()[:-1])
    assert run("verify_backup", id_)[2] == 5
    assert run("restore_backup", id_, "--into", str(tmp_path / "other"))[2] == 5
    assert not (tmp_path / "other").exists()


def test_the_latest_of_a_database_is_never_a_storages(run: Run, media: Path) -> None:
    run("backup_media", "--storage", "default")
    assert run("pin_backup", "latest")[2] == 1
    assert run("list_backups", "--database", "default")[0] == f"No backups in '{media}/backups'.\n"
