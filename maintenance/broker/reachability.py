"""Whether a project's broker answers, and waiting until it does."""

import time
from collections.abc import Callable
from typing import Any

from celery import Celery
from kombu import Connection
from kombu.exceptions import KombuError

from maintenance.errors import Unavailable
from maintenance.project import masked, on_redis


class BrokerUnreachable(Unavailable):
    """The broker at {url} does not answer: {reason}."""

    hint = "Start it (`manage.py run_broker` for the embedded one), or set CELERY_BROKER_URL or REDIS_URL."


def wait(app: Celery, *, seconds: float, say: Callable[[str], None] = lambda line: None) -> None:
    """Return once ``app``'s broker answers; ask again for ``seconds``. Raises BrokerUnreachable.

    One attempt takes at most 4 s a host, also against a broker that accepts TCP and never answers.
    """
    deadline = time.monotonic() + seconds
    told = False
    while True:
        reason = unreachable(app)
        if reason is None:
            return
        if seconds and not told:
            say(f"Waiting up to {seconds:g}s for the broker at {masked(app.conf.broker_url)} ({reason}).")
            told = True
        if time.monotonic() >= deadline:
            raise BrokerUnreachable(url=masked(app.conf.broker_read_url or app.conf.broker_url), reason=reason)
        time.sleep(min(0.5, max(0.0, deadline - time.monotonic())))


def unreachable(app: Celery) -> str | None:
    """Return why ``app``'s broker does not answer, or None when it does. Takes at most 4 s a host."""
    connection = bounded(app)
    failures: tuple[type[BaseException], ...] = (
        *connection.connection_errors,
        *connection.channel_errors,
        OSError,
        KombuError,
    )
    try:
        # One attempt a host: Connection.connect() would try each twice, two seconds apart.
        connection.ensure_connection(
            max_retries=len(connection.alt or [""]) - 1,
            interval_start=0,
            interval_step=0,
            reraise_as_library_errors=False,
        )
    except failures as error:
        return str(error).strip().rstrip(".") or type(error).__name__
    finally:
        connection.release()
    return None


def alone(app: Celery) -> bool:
    """Return whether certainly nobody listens for remote control on ``app``'s broker: no worker to mingle with.

    Only Redis tells (PUBSUB NUMPAT counts all listeners of the server); elsewhere, and in doubt, the answer is False.
    """
    if not on_redis(app):
        return False
    connection = bounded(app)
    try:
        channel: Any = connection.default_channel
        return int(channel.client.execute_command("PUBSUB", "NUMPAT")) == 0
    except (*connection.connection_errors, *connection.channel_errors):
        return False
    finally:
        connection.release()


def bounded(app: Celery, *, url: str | None = None) -> Connection:
    """Return a connection (to ``url``, else the one for sending), not yet opened, that waits at most 3 s an answer."""
    options = dict(app.conf.broker_transport_options or {})
    if on_redis(app):
        options |= {"socket_timeout": 3, "socket_connect_timeout": 3}
    return app.connection_for_write(url, connect_timeout=3, transport_options=options)
