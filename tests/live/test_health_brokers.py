"""The checks of queues, Redis and clocks, against real servers."""

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu import Exchange, Queue

from maintenance import caches, sent
from maintenance.caches import Resident
from maintenance.health import checks
from maintenance.health.base import Check
from maintenance.health.runner import ask
from tests.databases import PostgreSQL, configured
from tests.servers import Postgres, RabbitMQ, Valkey

AGO = timedelta(minutes=20)


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    server = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    server.start()
    yield server
    server.stop()


def celery(url: str, **options: Any) -> Celery:
    app = Celery("brokers", broker=url, set_as_current=False, broker_transport_options=options)
    app.conf.task_default_queue = "default"
    app.conf.task_queues = [
        Queue("default", Exchange("default"), routing_key="default"),
        Queue("heavy", Exchange("heavy"), routing_key="heavy"),
    ]
    app.finalize()
    for name in [each for each in app.tasks if not each.startswith("celery.")]:
        del app.tasks[name]  # shared ones, of whatever module other tests have imported
    return app


def send(app: Celery, *, ago: timedelta = timedelta(0), stamped: bool = True, **options: Any) -> None:
    """Send a message as if it had been sent a while ago."""
    at = (datetime.now(UTC) - ago).timestamp()
    headers = {sent.HEADER: at} if stamped else {}

    def stamp(headers: dict[str, Any], **kwargs: Any) -> None:
        headers.pop(sent.HEADER, None)
        if stamped:
            headers[sent.HEADER] = at

    from celery.signals import before_task_publish

    before_task_publish.connect(stamp, weak=False, dispatch_uid="test")
    try:
        app.send_task("app.work", headers=headers, **{"queue": "default", **options})
    finally:
        before_task_publish.disconnect(dispatch_uid="test")


def found(check: Check) -> tuple[str, str]:
    finding = ask(check).finding
    return finding.state, finding.message


def messages(check: Check) -> dict[str, float]:
    return {each.labels["queue"]: each.value for each in ask(check).figures if each.name == "queue_messages"}


@pytest.mark.parametrize("options", [{}, {"global_keyprefix": "shop:"}, {"priority_steps": [0, 5, 9]}])
def test_redis_tells_how_long_the_oldest_message_waits(valkey: Valkey, options: Any) -> None:
    app = celery(valkey.url, **options)
    check = checks.QueueAge(app, oldest=timedelta(minutes=15), most=3)
    assert found(check) == ("ok", "0 messages in 2 queues.")
    send(app, ago=timedelta(minutes=14))
    send(app)
    assert found(check) == ("ok", "2 messages in 2 queues.")
    send(app, ago=AGO, eta=datetime.now(UTC) + timedelta(hours=1), queue="heavy")
    assert found(check) == ("ok", "3 messages in 2 queues."), "it is not due yet"
    send(app, ago=AGO, priority=5)
    assert found(check) == ("failed", "The oldest of 3 messages in 'default' has waited for 20m.")
    assert messages(check) == {"default": 3, "heavy": 1}
    send(app)
    assert found(checks.QueueAge(app, oldest=AGO * 2, most=3)) == ("warning", "4 messages wait in 'default'.")


def test_a_message_without_a_time_is_told(valkey: Valkey) -> None:
    app = celery(valkey.url)
    send(app, stamped=False)
    assert found(checks.QueueAge(app)) == (
        "ok",
        "1 message in 2 queues. How long those in 'default' have waited is not known: "
        "who sent them has not noted when.",
    )
    connection: Any = app.connection_for_write()
    with connection:
        for odd in ("", "[]", "{}", '{"headers": null}', json.dumps({"headers": {sent.HEADER: "x"}})):
            connection.default_channel.client.rpush("heavy", odd)
            assert found(checks.QueueAge(app))[0] == "ok"


@pytest.mark.services
def test_rabbitmq_tells_how_many_wait_and_not_how_long(rabbitmq: RabbitMQ) -> None:
    app = celery(rabbitmq.url, confirm_publish=True)
    assert messages(checks.QueueAge(app)) == {"default": 0, "heavy": 0}, "nobody has declared them yet"
    for _ in range(3):
        send(app, ago=AGO)
    check = checks.QueueAge(app, most=3)
    assert found(check) == (
        "ok", "3 messages in 2 queues. How long those in 'default' have waited is not known: AMQP does not tell.",
    )  # fmt: skip
    send(app)
    assert found(check) == ("warning", "4 messages wait in 'default'.")
    assert messages(check) == {"default": 4, "heavy": 0}


def test_the_filesystem_transport_has_the_files_times(tmp_path: Path) -> None:
    folder = str(tmp_path)
    app = celery("filesystem://", data_folder_in=folder, data_folder_out=folder, control_folder=folder)
    send(app)
    check = checks.QueueAge(app)
    assert messages(check) == {"default": 1, "heavy": 0}
    (path,) = tmp_path.glob("*.msg")
    then = time.time() - AGO.total_seconds()
    os.utime(path, (then, then))
    assert found(check) == ("failed", "The oldest of 1 message in 'default' has waited for 20m.")


def test_a_broker_that_is_gone_could_not_be_asked(valkey: Valkey) -> None:
    app = celery(valkey.url.replace("redis://", "redis://:s3cret@"))
    valkey.stop()
    for check in (checks.QueueAge(app), checks.Policy(app), checks.Visibility(app), checks.Workers(app, 0.1)):
        state, message = found(check)
        assert (state, message.startswith("The broker c"), "s3cret" in message) == ("unknown", True, False)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ("ok", "It has no limit, so nothing is dropped.")),
        (("--maxmemory", "1gb", "--maxmemory-policy", "noeviction"), ("ok", "Its policy is noeviction.")),
        (("--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lru"), ("failed", "Its policy is allkeys-lru.")),
        (("--maxmemory", "1gb", "--maxmemory-policy", "volatile-ttl"), ("warning", "Its policy is volatile-ttl.")),
    ],
)
def test_the_policy_of_a_full_redis(tmp_path: Path, options: tuple[str, ...], expected: tuple[str, str]) -> None:
    server = Valkey(tmp_path / "policy", *options)
    server.start()
    try:
        assert found(checks.Policy(celery(server.url))) == expected
    finally:
        server.stop()


def test_a_redis_that_is_nearly_full(valkey: Valkey) -> None:
    app = celery(valkey.url)
    connection: Any = app.connection_for_write()
    with connection:
        client = connection.default_channel.client
        client.set("much", "x" * 20_000_000)
    with app.connection_for_write() as connection:
        client = connection.default_channel.client
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.05))
    state, message = found(checks.Policy(app))
    assert (state, message.endswith(" are used.")) == ("warning", True)


def test_a_cache_in_the_brokers_database(valkey: Valkey, settings: Any) -> None:
    app = celery(valkey.url)
    cache = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": valkey.url}
    settings.CACHES = {"default": {**cache, "LOCATION": valkey.url.replace("/0", "/1")}, "pages": cache}
    residents: list[Resident] = [each for each in caches.residents(app, settings=settings) if not each.alias]
    check = checks.Shared(settings.CACHES, lambda: residents)
    state, message = found(check)
    assert (state, message.startswith("Cache 'pages' shares the Redis database 127.0.0.1:")) == ("failed", True)
    assert "the broker" in message
    settings.CACHES = {"default": settings.CACHES["default"]}
    assert found(checks.Shared(settings.CACHES, lambda: residents)) == ("ok", "No cache shares its database.")


def test_a_task_that_outlives_its_message(valkey: Valkey) -> None:
    app = celery(valkey.url, visibility_timeout=600)
    check = checks.Visibility(app)
    app.conf.task_time_limit = 599
    assert found(check) == ("ok", "It is 10m, and nothing is known to take longer.")
    app.conf.task_time_limit = 600
    assert found(check) == (
        "warning",
        "A message is handed out again after 10m, but one runs for up to 10m (app.conf.task_time_limit).",
    )
    app.conf.beat_schedule = {"later": {"task": "app.work", "schedule": 60, "options": {"countdown": 700}}}
    assert found(check)[1].endswith(
        "one runs for up to 10m (app.conf.task_time_limit) and one waits for up to 11m40s (schedule later)."
    )
    assert ask(check).finding.cure == 'Set app.conf.broker_transport_options["visibility_timeout"] = 1300.'
    app.conf.task_time_limit = None
    assert found(check)[1].endswith("but one waits for up to 11m40s (schedule later).")


def test_a_message_that_a_worker_holds_for_too_long(valkey: Valkey) -> None:
    app = celery(valkey.url, visibility_timeout=600)
    send(app, countdown=3600)
    with app.connection_for_read() as connection:
        app.amqp.queues["default"](connection.default_channel).get(no_ack=False)
        state, message = found(checks.Visibility(app))
    assert state == "warning"
    assert message.startswith("A message is handed out again after 10m, but a worker holds one of 'app.work' for ")


@pytest.mark.services
def test_the_clocks_of_this_host_and_of_postgresql(
    postgres: Postgres, locks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from maintenance.health.checks import clock

    live = PostgreSQL(postgres, "clocks")
    with configured(live.alias, **live.settings):
        monkeypatch.setattr(clock, "DEFAULT_DB_ALIAS", live.alias)
        assert found(checks.Clock()) == ("ok", "They agree.")
        monkeypatch.setitem(clock._ASK, "postgresql", "SELECT EXTRACT(EPOCH FROM clock_timestamp()) - 60")
        assert found(checks.Clock()) == ("warning", "The database's clock is 1m behind this host's.")
        assert any(each.name == "clock_skew_seconds" and each.value > 50 for each in ask(checks.Clock()).figures)
