"""A database that accepts connections and never answers: it holds beat for a while, not for ever."""

import os
import socket
from typing import Any

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper


def bound(connection: BaseDatabaseWrapper, seconds: float) -> None:
    """Have ``connection`` give up connecting after ``seconds``, where the project's OPTIONS set no time."""
    if connection.vendor in ("postgresql", "mysql"):
        # A copy: the settings stay as they are. psycopg takes less than 2 for 2.
        options = {"connect_timeout": max(2, round(seconds)), **connection.settings_dict["OPTIONS"]}
        connection.settings_dict = {**connection.settings_dict, "OPTIONS": options}


def cut(connection: BaseDatabaseWrapper) -> bool:
    """Shut the socket of ``connection`` from another thread, so that whoever waits for its answer gets an error.

    Returns False where there is nothing to shut: SQLite, and while no connection is open.
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
