"""Asking a service on behalf of a check: its errors mean that it could not be asked."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from celery import Celery
from django.db import Error
from kombu import Connection
from kombu.common import ignore_errors
from kombu.exceptions import KombuError

from .. import broker
from .base import CouldNotAsk

Answers = dict[str, Any]
"""What each process answered, by its node name."""
Heard = list[tuple[str, Any]]


class _Enough(Exception):
    """Nobody else needs to be waited for."""


@contextmanager
def the_broker(app: Celery) -> Iterator[Connection]:
    """Give a connection that waits for no answer longer than 3 s."""
    connection = broker.bounded(app, url=app.conf.broker_read_url)
    errors = (*connection.connection_errors, *connection.channel_errors)
    trouble: tuple[type[BaseException], ...] = (*errors, OSError, KombuError)
    try:
        yield connection
    except trouble as error:
        raise CouldNotAsk(f"The broker could not be asked: {first_line(error)}") from error
    finally:
        ignore_errors(connection, connection.release)


def workers(app: Celery, question: str, *, wait: float, until: Callable[[Answers], bool] | None = None) -> Answers:
    """Return what each worker answers within ``wait`` seconds; sooner once ``until`` is content. Raises CouldNotAsk."""

    def enough(heard: Heard) -> bool:
        return until is not None and until(_of_workers(heard))

    return _of_workers(_processes(app, question, wait, enough))


def beats(app: Celery, *, wait: float) -> list[str]:
    """Return the names of the beats that answer a ping within ``wait`` seconds, in order. Raises CouldNotAsk.

    Two beats of a host have one name: each is there.
    """
    return sorted(name for name, _ in _processes(app, "ping", wait) if _is_beat(name))


def _of_workers(heard: Heard) -> Answers:
    return {name: said for name, said in heard if not _is_beat(name)}


def _processes(app: Celery, question: str, wait: float, enough: Callable[[Heard], bool] = lambda heard: False) -> Heard:
    found: Heard = []
    end = time.monotonic() + wait

    def heard(reply: Mapping[str, Any]) -> None:
        found.extend(reply.items())
        # Celery waits anew after each reply.
        if enough(found) or time.monotonic() > end:
            raise _Enough

    control: Any = app.control
    with the_broker(app) as connection, suppress(_Enough):
        control.broadcast(question, reply=True, timeout=wait, callback=heard, connection=connection)
    return found


def _is_beat(name: str) -> bool:
    """Whether it is a beat under remote control (Celery 5.7), which answers what workers are asked, too."""
    return name.startswith("celerybeat@")


@contextmanager
def the_database() -> Iterator[None]:
    """Turn the database's errors into words."""
    try:
        yield
    except Error as error:
        raise CouldNotAsk(f"The database could not be asked: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """Return what an error says first, as a sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"{lines[0].rstrip('.')}."
