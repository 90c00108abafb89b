"""Outages: a server that is stopped, or accepts and never answers. Beat survives them, and no due time is lost.

Each is as long as half a minute of schedules needs to tell; ``make soak`` has them last for 60 s.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.live.dues import check, messages, schedule, start, stop
from tests.processes import Process, Project, wait_for
from tests.relay import Relay
from tests.servers import MariaDB, Postgres, RabbitMQ, Server, Valkey

ServerKind = TypeVar("ServerKind", bound=Server)
BOTH = ("once", "all")
DATABASES: dict[str, type[Postgres] | type[MariaDB]] = {"postgres": Postgres, "mariadb": MariaDB}
LENGTHS = pytest.mark.parametrize("seconds", [4, pytest.param(60, marks=pytest.mark.soak)])


@pytest.fixture
def started() -> Iterator[Callable[[ServerKind], ServerKind]]:
    """Start servers, which are stopped with the test."""
    servers: list[Server] = []

    def begin(server: ServerKind) -> ServerKind:
        servers.append(server)
        server.start()
        return server

    yield begin
    for server in servers:
        server.stop()


@pytest.fixture
def relayed() -> Iterator[Callable[[int], Relay]]:
    """Put relays in front of ports."""
    relays: list[Relay] = []

    def put(port: int) -> Relay:
        relays.append(Relay(port))
        return relays[-1]

    yield put
    for relay in relays:
        relay.close()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Callable[..., Project]]:
    """Make the project of a test: its lease lasts 2 s."""
    made: list[Project] = []

    def make(**env: str) -> Project:
        new = Project(tmp_path / "project", settings="tests.live.projects.beats", MARKS=str(tmp_path), **env)
        made.append(new)
        new.manage("migrate", "--no-input", "-v", "0")
        schedule(new, number=6, slowest=2, misfires=BOTH)
        return new

    yield make
    for each in made:
        each.close()


def broker_of(kind: str, folder: Path) -> Valkey | RabbitMQ:
    """Return a broker whose messages outlive it."""
    return RabbitMQ(folder / kind) if kind == "rabbitmq" else Valkey(folder / kind, "--appendonly", "yes")


def address(broker: Valkey | RabbitMQ, port: int) -> dict[str, str]:
    url = broker.url.replace(str(broker.port), str(port))
    return {"CELERY_BROKER_URL" if isinstance(broker, RabbitMQ) else "REDIS_URL": url}


def survive(beats: list[Process], broker: Valkey | RabbitMQ, *, complaint: str) -> None:
    """Assert that beat said what was wrong and lives, and wait until it has sent what became due meanwhile."""
    assert any(complaint in beat.output for beat in beats), [beat.output for beat in beats]
    before = len(messages(broker))
    wait_for(lambda: len(messages(broker)) > before + 12, seconds=90, every=0.5, about="sending to go on")
    assert all(beat.popen.poll() is None for beat in beats), [beat.output for beat in beats]


def most_missed(broker: Valkey | RabbitMQ) -> int:
    """Return how many due times the latest send of them all stands for, among the intervals of a second."""
    return max(each.missed for each in messages(broker) if each.name in "024")


@LENGTHS
@pytest.mark.parametrize("kind", ["valkey", pytest.param("rabbitmq", marks=pytest.mark.services)])
def test_a_broker_that_is_stopped(
    tmp_path: Path,
    project: Callable[..., Project],
    started: Callable[[Valkey | RabbitMQ], Valkey | RabbitMQ],
    kind: str,
    seconds: int,
) -> None:
    broker = started(broker_of(kind, tmp_path))
    ops = project(**address(broker, broker.port))
    beats = start(ops, 1)
    wait_for(lambda: messages(broker), seconds=60)
    broker.stop()
    # The outage itself, after which something must have been missed.
    time.sleep(seconds)
    broker.start()
    survive(beats, broker, complaint="The broker ")
    stop(beats)
    assert most_missed(broker) >= seconds - 2, "one late send stands for what was missed"
    check(ops, messages(broker), repeats=10)


@LENGTHS
@pytest.mark.parametrize("kind", ["valkey", pytest.param("rabbitmq", marks=pytest.mark.services)])
def test_a_broker_that_accepts_and_never_answers(
    tmp_path: Path,
    project: Callable[..., Project],
    started: Callable[[Valkey | RabbitMQ], Valkey | RabbitMQ],
    relayed: Callable[[int], Relay],
    kind: str,
    seconds: int,
) -> None:
    broker = started(broker_of(kind, tmp_path))
    relay = relayed(broker.port)
    ops = project(**address(broker, relay.port))
    beats = start(ops, 2)
    wait_for(lambda: messages(broker), seconds=60)
    relay.mute()
    wait_for(lambda: any("The broker " in beat.output for beat in beats), seconds=60, about="a complaint")
    time.sleep(seconds)
    relay.speak()
    survive(beats, broker, complaint="The broker ")
    stop(beats)
    # What the silent broker had taken in is sent again under the same id, by each of the leaders that tried.
    check(ops, messages(broker), repeats=10 + 2 * seconds)


@LENGTHS
@pytest.mark.services
@pytest.mark.parametrize("kind", DATABASES)
def test_a_database_that_is_stopped(
    tmp_path: Path,
    valkey: Valkey,
    project: Callable[..., Project],
    started: Callable[[Server], Server],
    kind: str,
    seconds: int,
) -> None:
    database = DATABASES[kind](tmp_path / kind)
    started(database)
    ops = project(REDIS_URL=valkey.url, DATABASE_URL=database.url)
    beats = start(ops, 1)
    wait_for(lambda: messages(valkey), seconds=60)
    database.stop()
    time.sleep(seconds)
    database.start()
    survive(beats, valkey, complaint="Not leading: the database cannot be used")
    stop(beats)
    assert most_missed(valkey) >= seconds - 2, "one late send stands for what was missed"
    check(ops, messages(valkey), repeats=50)


@LENGTHS
@pytest.mark.services
@pytest.mark.parametrize("kind", DATABASES)
def test_a_database_that_accepts_and_never_answers(
    tmp_path: Path,
    valkey: Valkey,
    project: Callable[..., Project],
    started: Callable[[Server], Server],
    relayed: Callable[[int], Relay],
    kind: str,
    seconds: int,
) -> None:
    database = DATABASES[kind](tmp_path / kind)
    started(database)
    relay = relayed(database.port)
    ops = project(REDIS_URL=valkey.url, DATABASE_URL=database.url.replace(str(database.port), str(relay.port)))
    beats = start(ops, 1)
    wait_for(lambda: messages(valkey), seconds=60)
    relay.mute()
    beats[0].wait_for_line("Not leading: the database cannot be used", seconds=60)
    time.sleep(seconds)
    relay.speak()
    survive(beats, valkey, complaint="Not leading: the database cannot be used")
    stop(beats)
    check(ops, messages(valkey), repeats=50)


@LENGTHS
@pytest.mark.services
def test_a_rabbitmq_that_blocks_its_publishers(
    tmp_path: Path, project: Callable[..., Project], started: Callable[[RabbitMQ], RabbitMQ], seconds: int
) -> None:
    rabbitmq = started(RabbitMQ(tmp_path / "rabbitmq"))
    ops = project(CELERY_BROKER_URL=rabbitmq.url)
    beats = start(ops, 1)
    wait_for(lambda: messages(rabbitmq), seconds=60)
    rabbitmq.control("set_vm_memory_high_watermark", "absolute", "1MB")
    beats[0].wait_for_line("RabbitMQ has blocked publishers: its memory or disk alarm is on", seconds=60)
    time.sleep(seconds)
    rabbitmq.control("set_vm_memory_high_watermark", "0.6")
    survive(beats, rabbitmq, complaint="RabbitMQ has blocked publishers")
    stop(beats)
    check(ops, messages(rabbitmq), repeats=3)
