"""A database that accepts connections and never answers: it holds beat for a while, not for ever."""

import os
import socket
from typing import Any

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from ..heartbeat import Heart
from .sign import Sign
from .watchdog import Watchdog


def guarded(
    connection: BaseDatabaseWrapper,
    *,
    connecting: float,
    answering: float,
    limit: float,
    heart: Heart | None,
    sign: Sign | None,
) -> Watchdog:
    """Bound ``connection`` and return a watchdog that cuts it when a tick waits longer than it should ever answer."""
    bound(connection, connecting=connecting, answering=answering)
    return Watchdog(limit=limit, heart=heart, sign=sign, nudge=lambda: cut(connection), patience=answering)


def bound(connection: BaseDatabaseWrapper, *, connecting: float, answering: float) -> None:
    """Limit how long ``connection`` waits, in seconds, where the project's OPTIONS do not.

    PostgreSQL's client knows no limit for an answer: see cut().
    """
    ours = {"connect_timeout": max(2, round(connecting))}  # psycopg takes less than 2 for 2
    if connection.vendor == "mysql":
        ours |= {"read_timeout": round(answering), "write_timeout": round(answering)}
    elif connection.vendor != "postgresql":
        return
    # A copy: the settings stay as they are.
    options = {**ours, **connection.settings_dict["OPTIONS"]}
    connection.settings_dict = {**connection.settings_dict, "OPTIONS": options}


def cut(connection: BaseDatabaseWrapper) -> bool:
    """Shut the socket of ``connection`` from another thread, so that whoever waits for its answer gets an error.

    Returns False where there is nothing to shut (SQLite, no open connection) or the client refuses (MariaDB's).
    """
    raw: Any = connection.connection
    if not hasattr(raw, "fileno"):
        return False
    try:
        with connection.wrap_database_errors:
            descriptor = os.dup(raw.fileno())
        with socket.socket(fileno=descriptor) as line:
            line.shutdown(socket.SHUT_RDWR)
    except (OSError, Error):  # closed meanwhile
        return False
    return True
