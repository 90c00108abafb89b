"""Asking a service on behalf of a check: its errors mean that it could not be asked."""

from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery
from django.db import Error
from kombu import Connection
from kombu.common import ignore_errors
from kombu.exceptions import KombuError

from .. import broker
from .base import CouldNotAsk


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
