"""A database that does not answer: how long it is waited for, and how a waiting thread is freed."""

import socket
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection

from maintenance.beat import database


def wrapper(vendor: str, **options: Any) -> Any:
    return SimpleNamespace(vendor=vendor, settings_dict={"NAME": "x", "OPTIONS": options})


@pytest.mark.parametrize(
    ("vendor", "given", "options"),
    [
        ("postgresql", {}, {"connect_timeout": 5}),
        ("postgresql", {"connect_timeout": 3, "sslmode": "require"}, {"connect_timeout": 3, "sslmode": "require"}),
        ("mysql", {}, {"connect_timeout": 5, "read_timeout": 15, "write_timeout": 15}),
        ("mysql", {"read_timeout": 60}, {"connect_timeout": 5, "read_timeout": 60, "write_timeout": 15}),
        ("sqlite", {"timeout": 20}, {"timeout": 20}),
    ],
)
def test_the_projects_own_limits_win(vendor: str, given: dict[str, Any], options: dict[str, Any]) -> None:
    made = wrapper(vendor, **given)
    before = made.settings_dict
    database.bound(made, connecting=5, answering=15)
    assert made.settings_dict == {"NAME": "x", "OPTIONS": options}
    assert before["OPTIONS"] == given, "the settings stay as they are"


@pytest.mark.parametrize(("connecting", "seconds"), [(0.7, 2), (2.4, 2), (2.6, 3)])
def test_a_client_that_takes_no_less_gets_2_seconds(connecting: float, seconds: int) -> None:
    made = wrapper("postgresql")
    database.bound(made, connecting=connecting, answering=15)
    assert made.settings_dict["OPTIONS"] == {"connect_timeout": seconds}


def test_cutting_ends_the_wait_of_whoever_reads() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        made: Any = SimpleNamespace(connection=ours, wrap_database_errors=connection.wrap_database_errors)
        assert database.cut(made)
        assert ours.recv(1) == b""


def test_there_is_nothing_to_cut_without_a_socket() -> None:
    ours, theirs = socket.socketpair()
    closed: Any = SimpleNamespace(connection=ours, wrap_database_errors=connection.wrap_database_errors)
    ours.close()
    theirs.close()
    not_open: Any = SimpleNamespace(connection=None)
    assert (database.cut(closed), database.cut(not_open)) == (False, False)
