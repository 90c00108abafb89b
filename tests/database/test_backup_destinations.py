"""Backups in several places at once: folders, an S3-compatible server, and places that fail."""

import errno
import json
import os
import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import InMemoryStorage
from django.dispatch import Signal
from django.utils import timezone

from maintenance.backups import catalog, create, destination, signals, streams
from maintenance.backups.destination import Destination
from maintenance.backups.errors import DestinationFailed, NotEnoughSpace, OutOfSpace, StorageFailed
from maintenance.backups.manifest import Manifest
from tests.conftest import Outcome
from tests.database.test_backups import TTL, fill

pytestmark = pytest.mark.django_db
Run = Callable[..., Outcome]
Add = Callable[[str], Path]
FILES = "django.core.files.storage.FileSystemStorage"


@pytest.fixture
def places(tmp_path: Path, sqlite_file: Add, settings: Any) -> tuple[Path, Path]:
    """Two folders as destinations, and a database to back up."""
    fill(sqlite_file("archive"))
    folders = tmp_path / "near", tmp_path / "far"
    settings.STORAGES = {
        **settings.STORAGES,
        **{folder.name: {"BACKEND": FILES, "OPTIONS": {"location": folder}} for folder in folders},
    }
    settings.MAINTENANCE = {"BACKUPS": {"DESTINATIONS": ["near", "far"], "DATABASES": ["archive"], "KEEP_LAST": 2}}
    return folders


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_destination_gets_the_same_backup(run: Run, places: tuple[Path, Path]) -> None:
    near, far = places
    out, err, code = run("backup", "--json", "--verify", "hash")
    (made,) = json.loads(out)["backups"]
    assert (made["destinations"], made["verified"], err, code) == ([str(near), str(far)], "hash", "", 0)
    assert names(near) == names(far)
    assert (near / made["file"]).read_bytes() == (far / made["file"]).read_bytes()
    modes = [path.stat().st_mode & 0o777 for folder in places for path in folder.iterdir()]
    assert modes == [0o600] * len(modes)


def test_some_of_them_can_be_chosen_and_each_is_thinned_out_by_itself(run: Run, places: tuple[Path, Path]) -> None:
    for to in ("near", "near", "far"):
        assert run("backup", "--to", to)[2] == 0
    assert [len(list(folder.glob("*.manifest.json"))) for folder in places] == [2, 1]
    assert run("backup")[2] == 0
    assert [len(list(folder.glob("*.manifest.json"))) for folder in places] == [2, 2]
    err = "CommandError: There is no backup destination 'nope'. BACKUPS.DESTINATIONS has: 'near', 'far'.\n"
    assert run("backup", "--to", "nope") == ("", err, 2)


def test_one_that_fails_does_not_keep_it_from_the_other(run: Run, places: tuple[Path, Path]) -> None:
    near, far = places
    far.touch()
    out, _, code = run("backup")
    assert (out, code) == ("", 73)
    far.unlink()
    far.mkdir()
    (far / f"{catalog.STAGING}x").mkdir()
    assert run("backup")[2] == 0
    assert len(names(near)) == 2


class Broken(InMemoryStorage):
    """A storage whose package has errors of its own."""

    def _save(self, name: str, content: Any) -> str:
        raise HTTPException("bucket s3cr3t-token is gone")


@pytest.fixture
def archive(sqlite_file: Add) -> Path:
    live = sqlite_file("archive")
    fill(live)
    return live


def make(*destinations: Destination, **how: Any) -> Manifest:
    plan = create.plan(alias="archive", destinations=destinations, **how)
    return create.create(plan, holder="test", ttl=TTL, clock=timezone.now).manifest


def near_and_broken(tmp_path: Path) -> tuple[Destination, Destination]:
    near = destination.choose(alias="backups", configured={}, root=tmp_path / "near")
    remote = destination.Remote(Broken(), label="far away", secrets=["s3cr3t-token"])
    return near, Destination(remote, "far away", tmp_path / "temp", near.staging_age)


def test_a_remote_one_that_fails_is_named_and_the_other_is_whole(archive: Path, tmp_path: Path) -> None:
    near, far = near_and_broken(tmp_path)
    with pytest.raises(DestinationFailed) as caught:
        make(far, near)
    (made,) = catalog.read(near.storage).backups
    assert str(caught.value) == (
        f"Backup {made.id} of 'archive' is missing in 'far away': far away failed to store '{made.file}': "
        "bucket ** is gone. Look after the storage, its bucket and its credentials, then run it again. "
        f"It is whole in '{near.label}'."
    )
    assert caught.value.exit_code == 1
    assert not list((tmp_path / "near").glob(f"{catalog.STAGING}*"))


def test_the_only_one_that_fails_is_the_error_itself(archive: Path, tmp_path: Path) -> None:
    _, far = near_and_broken(tmp_path)
    with pytest.raises(StorageFailed) as caught:
        make(far)
    assert caught.value.exit_code == 69
    assert "s3cr3t" not in str(caught.value)
    assert list((tmp_path / "temp").iterdir()) == []


Usage = namedtuple("Usage", "total used free")


def test_space_is_looked_at_before_anything_is_written(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, _ = near_and_broken(tmp_path)
    size = archive.stat().st_size
    need = size + size // 2  # the copy, and half as much for what it is compressed to
    for free, fails in ((need - 1, True), (need, False)):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: Usage(0, 0, free))
        if fails:
            with pytest.raises(NotEnoughSpace) as caught:
                make(near)
            assert str(caught.value) == (
                f"'{near.label}' has 36.9 KB free, and the backup of 'archive' needs about 36.9 KB. "
                "Nothing was begun. Free some space, or set BACKUPS.STAGING to a folder on a larger disk."
            )
        else:
            made = make(near)
    # Then the last backup tells how well this database compresses.
    need = size + int(size * made.stored_bytes / made.plain_bytes)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, need))
    make(near)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, need - 1))
    with pytest.raises(NotEnoughSpace):
        make(near)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_meanwhile_leaves_nothing(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    near, _ = near_and_broken(tmp_path)

    def write(self: Any, data: bytes) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(streams._Hashed, "write", write)
    with pytest.raises(OutOfSpace) as caught:
        make(near)
    assert caught.value.exit_code == 1
    assert names(tmp_path / "near") == []


@pytest.fixture
def heard() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What the signals tell."""
    found: list[tuple[str, dict[str, Any]]] = []
    listeners = []
    for name, signal in vars(signals).items():
        if isinstance(signal, Signal):

            def listen(name: str = name, **about: Any) -> None:
                found.append((name, {key: value for key, value in about.items() if key not in ("signal", "sender")}))

            signal.connect(listen, weak=False)
            listeners.append((signal, listen))
    yield found
    for signal, listen in listeners:
        signal.disconnect(listen)


def test_signals_tell_of_the_beginning_and_of_either_end(
    archive: Path, tmp_path: Path, heard: list[tuple[str, dict[str, Any]]], caplog: pytest.LogCaptureFixture
) -> None:
    near, far = near_and_broken(tmp_path)

    def fail(**about: Any) -> None:
        raise KeyError("a receiver")

    signals.backup_finished.connect(fail)
    made = make(near)
    signals.backup_finished.disconnect(fail)
    begun = {"alias": "archive", "id": made.id}
    assert heard == [("backup_started", begun), ("backup_finished", {"manifest": made, "destinations": (near,)})]
    assert "a receiver" in caplog.text
    heard.clear()
    with pytest.raises(StorageFailed) as caught:
        make(far)
    assert [name for name, _ in heard] == ["backup_started", "backup_failed"]
    assert heard[1][1]["error"] is caught.value


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """An S3-compatible server, with a bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, aws_access_key_id="id", aws_secret_access_key="secret", region_name="us-east-1"
    )
    client.create_bucket(Bucket="backups")
    yield url
    server.stop()


def bucket(url: str, **options: Any) -> dict[str, Any]:
    given = {"endpoint_url": url, "access_key": "id", "secret_key": "s3cr3t", "region_name": "us-east-1"}
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {**given, "bucket_name": "backups", "location": "here", **options},
    }


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_an_s3_server_takes_it_and_gives_it_back(
    run: Run, places: tuple[Path, Path], s3: str, settings: Any, tmp_path: Path
) -> None:
    near, _ = places
    settings.STORAGES = {**settings.STORAGES, "remote": bucket(s3)}
    staging = tmp_path / "staging"
    settings.MAINTENANCE = {
        "BACKUPS": {
            "DESTINATIONS": ["remote", "near"],
            "DATABASES": ["archive"],
            "STAGING": staging,
            "KEEP_LAST": 1,
        }
    }
    out, err, code = run("backup", "--verify=restore")
    assert (err, code) == ("", 0)
    assert out.count("restored, ") == 2
    out, err, code = run("backup", "--json", "--to", "remote", "--tag", "x")
    (made,) = json.loads(out)["backups"]
    # The one that was verified stays.
    assert (made["destinations"], made["removed"], code) == (['STORAGES["remote"]'], [], 0)
    (remote,) = destination.choose_all(aliases=["remote"], configured=settings.STORAGES, root=near)
    assert catalog.read(remote.storage).backups[1].id == made["id"]
    with remote.storage.open(made["file"]) as stored:
        assert len(stored.read()) == made["stored_bytes"]
    assert list(staging.iterdir()) == []
    (later,) = json.loads(run("backup", "--json", "--to", "remote")[0])["backups"]
    assert later["removed"] == [made["id"]]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_an_s3_server_that_refuses_is_one_line_without_secrets(
    run: Run, places: tuple[Path, Path], s3: str, settings: Any
) -> None:
    settings.STORAGES = {**settings.STORAGES, "remote": bucket(s3, bucket_name="nowhere")}
    settings.MAINTENANCE = {"BACKUPS": {"DESTINATIONS": ["remote"], "DATABASES": ["archive"]}}
    out, err, code = run("backup")
    assert (out, code, "s3cr3t" in err) == ("", 69, False)
    assert err.startswith("CommandError: STORAGES[\"remote\"] failed to list '': ")
    assert "NoSuchBucket" in err
