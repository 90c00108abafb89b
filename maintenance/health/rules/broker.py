"""Rules of the broker: silence, redelivery, and who else lives there."""

from collections.abc import Iterator
from typing import Any

from ... import caches
from ...broker import visibility
from ...caches import places
from ...project import masked
from .base import ERROR, WARNING, Trouble, rule
from .facts import Facts


@rule("broker-not-set", ERROR, "broker")
def broker_not_set(facts: Facts) -> Iterator[Trouble]:
    """Tasks go to a RabbitMQ on this host as guest, which is probably not there.

    Without a URL Celery falls back to amqp://guest@localhost//, silently. Source: Celery, Configuration, broker_url.
    """
    if not facts.brokers:
        yield Trouble("No broker is set.", f"Set {facts.line('broker_url', 'redis://localhost:6379/0')}.")


@rule("broker-in-memory", ERROR, "broker", deploy=True)
def broker_in_memory(facts: Facts) -> Iterator[Trouble]:
    """Tasks do not leave this process (memory), or this machine's disk (filesystem).

    These transports of kombu are for tests and development: no other process, or no other host, sees the queue.
    Source: kombu, Transports.
    """
    for url in facts.brokers:
        if url.split(":")[0] in ("memory", "filesystem"):
            yield Trouble(f"The broker is {masked(url)}.", f"Set {facts.line('broker_url', 'redis://HOST:6379/0')}.")


@rule("broker-timeouts", WARNING, "broker")
def broker_timeouts(facts: Facts) -> Iterator[Trouble]:
    """delay() blocks for ever against a broker that accepts connections and never answers: every web request hangs.

    redis-py waits without end unless told otherwise. Measured: with socket_timeout=5 and one retry delay() raises
    in 5.2 s, without it never. Source: redis-py, Redis(socket_timeout=None); kombu, Redis transport options.
    """
    wanted = {"socket_timeout": 5, "socket_connect_timeout": 5}
    missing = [name for name in wanted if not facts.transport.get(name)]
    if facts.on_redis and missing:
        name = facts.name("broker_transport_options")
        lines = "; ".join(f'{name}["{each}"] = {wanted[each]}' for each in missing)
        yield Trouble(f"The broker's transport options lack {' and '.join(missing)}.", f"Set {lines}.")


@rule("publish-retry-unbounded", WARNING, "broker")
def publish_retry_unbounded(facts: Facts) -> Iterator[Trouble]:
    """A web request that sends a task waits for as long as the broker is down.

    max_retries None means for ever; many long pauses mean minutes. A caller should hear of it within seconds.
    Source: Celery, Calling Tasks, "Message Sending Retry".
    """
    policy = {"max_retries": 3, "interval_max": 1, **(facts.conf.task_publish_retry_policy or {})}
    retries = policy["max_retries"]
    if facts.conf.task_publish_retry and (retries is None or retries * float(policy["interval_max"] or 0) > 30):
        wanted = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}
        count = "for ever" if retries is None else f"{retries} times"
        fact = f"Sending is retried {count}, up to {policy['interval_max']}s apart."
        yield Trouble(fact, f"Set {facts.line('task_publish_retry_policy', wanted)}.")


@rule("publish-not-confirmed", WARNING, "broker")
def publish_not_confirmed(facts: Facts) -> Iterator[Trouble]:
    """A task that was sent while the broker broke down is lost, and delay() said nothing.

    AMQP publishes without an answer unless confirms are asked for. Green pools cannot have them in the worker
    (run_worker turns them off there). Source: RabbitMQ, Publisher Confirms; kombu, confirm_publish.
    """
    if facts.on_amqp and not facts.transport.get("confirm_publish"):
        name = facts.name("broker_transport_options")
        yield Trouble("Messages are published without confirms.", f'Set {name}["confirm_publish"] = True.')


@rule("visibility-timeout-short", WARNING, "broker", check="maintenance.W001")
def visibility_timeout_short(facts: Facts) -> Iterator[Trouble]:
    """It would run twice.

    Redis hands a message out again that nobody acknowledged within visibility_timeout (1 h by default), even if
    its task still runs. Source: Celery, Using Redis, "Visibility timeout".
    """
    timeout, (limit, source) = visibility.timeout(facts.app), visibility.longest(facts.app)
    if facts.on_redis and timeout <= limit:
        fact = (
            f"The broker hands a task out again after {timeout:g}s (visibility_timeout), "
            f"but it may run for {limit:g}s ({source})."
        )
        name = facts.name("broker_transport_options")
        yield Trouble(fact, f'Set {name}["visibility_timeout"] = {int(limit) + 600}.')


@rule("visibility-timeout-eta", WARNING, "broker")
def visibility_timeout_eta(facts: Facts) -> Iterator[Trouble]:
    """It runs once more for every visibility_timeout that passes before its time.

    A worker holds a message with an ETA unacknowledged until then, so Redis gives it to the next worker too.
    Retries and countdowns are ETAs. Source: Celery, Using Redis, "Visibility timeout".
    """
    timeout, name = visibility.timeout(facts.app), facts.name("broker_transport_options")
    if not facts.on_redis:
        return
    for who, seconds in visibility.waits(facts.app, entries=facts.entries).items():
        if seconds >= timeout:
            fact = f"{who[:1].upper()}{who[1:]} waits for {seconds:g}s, longer than visibility_timeout ({timeout:g}s)."
            yield Trouble(fact, f'Set {name}["visibility_timeout"] = {int(seconds) + 600}, or shorten the wait.')


@rule("broker-is-cache", ERROR, "cache")
def broker_is_cache(facts: Facts) -> Iterator[Trouble]:
    """cache.clear() deletes every waiting task.

    Django's RedisCache clears with FLUSHDB, whatever else lives in that database. Measured: 5 queued tasks became 0.
    clear_cache refuses it, but any other code may call clear(). Source: django.core.cache.backends.redis.
    """
    residents = caches.residents(facts.app, settings=facts.settings)
    broker = next(each for each in residents if each.name == "the broker")
    for alias, entry in facts.django("CACHES", {}).items():
        shared = sorted(places.cache_places(entry) & broker.places)
        if shared:
            number = shared[0].database + 1
            cure = f'Give CACHES["{alias}"]["LOCATION"] another database, as /{number}.'
            yield Trouble(f"The cache {alias!r} and the broker share the Redis database {shared[0]}.", cure)


@rule("broker-pool-off", WARNING, "broker")
def broker_pool_off(facts: Facts) -> Iterator[Trouble]:
    """Every delay() opens a connection of its own, and closes it: slow, and many at once exhaust the broker.

    broker_pool_limit 0 or None turns the pool off. Source: Celery, Configuration, broker_pool_limit.
    """
    if not facts.conf.broker_pool_limit:
        yield Trouble("The pool of connections is off.", f"Set {facts.line('broker_pool_limit', 10)}.")


@rule("broker-start-retry-off", WARNING, "broker")
def broker_start_retry_off(facts: Facts) -> Iterator[Trouble]:
    """A worker that starts before its broker ends at once, and a host that restarts both gives up on it.

    Nothing orders processes at a deploy. run_worker waits 30 s for the broker; plain Celery ends.
    Source: Celery, Configuration, broker_connection_retry_on_startup.
    """
    if facts.conf.broker_connection_retry_on_startup is False:
        yield Trouble(
            "Workers do not wait for the broker at their start.",
            f"Set {facts.line('broker_connection_retry_on_startup', True)}.",
        )


@rule("broker-heartbeat-off", WARNING, "broker")
def broker_heartbeat_off(facts: Facts) -> Iterator[Trouble]:
    """A worker whose connection died quietly waits for tasks that never come, and looks alive.

    Firewalls drop idle connections without a word; only a heartbeat notices. Source: RabbitMQ, Heartbeats.
    """
    if facts.on_amqp and not facts.conf.broker_heartbeat:
        yield Trouble("AMQP heartbeats are off.", f"Set {facts.line('broker_heartbeat', 120)}.")


@rule("redis-keepalive-off", WARNING, "broker", deploy=True)
def redis_keepalive_off(facts: Facts) -> Iterator[Trouble]:
    """A worker whose connection died quietly waits for tasks that never come, and looks alive.

    The Redis protocol has no heartbeat: TCP keepalive, or health_check_interval, takes its place.
    Source: redis-py, Connection(socket_keepalive, health_check_interval).
    """
    on_network = any(url.startswith(("redis://", "rediss://")) for url in facts.brokers)
    if on_network and not {"socket_keepalive", "health_check_interval"} & _truthy(facts.transport):
        name = facts.name("broker_transport_options")
        yield Trouble("Nothing keeps the broker's connections alive.", f'Set {name}["socket_keepalive"] = True.')


@rule("redis-fanout-shared", WARNING, "broker")
def redis_fanout_shared(facts: Facts) -> Iterator[Trouble]:
    """Every worker receives every event of every virtual host: busy workers, and remote control of strangers.

    Both options are on by default; somebody turned one off. Source: Celery, Using Redis, "Caveats".
    """
    for option in ("fanout_prefix", "fanout_patterns"):
        if facts.on_redis and facts.transport.get(option) is False:
            name = facts.name("broker_transport_options")
            yield Trouble(f"{option} is off.", f'Set {name}["{option}"] = True.')


def _truthy(options: Any) -> set[str]:
    return {name for name, value in options.items() if value}
