"""Pings against a real server on loopback: it answers, refuses, is down, or lets one wait."""

import time
from collections.abc import Iterator

import pytest

from maintenance import ping
from tests.monitor import Monitor
from tests.servers import free_port


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    server = Monitor()
    yield server
    server.close()


@pytest.mark.parametrize(
    ("url", "sign", "signed"),
    [
        ("https://hc-ping.com/uuid", "", "https://hc-ping.com/uuid"),
        ("https://hc-ping.com/uuid", "start", "https://hc-ping.com/uuid/start"),
        ("https://hc-ping.com/uuid/", "fail", "https://hc-ping.com/uuid/fail"),
        ("https://h:8443/ping/key/slug?create=1", "fail", "https://h:8443/ping/key/slug/fail?create=1"),
        ("https://h", "start", "https://h/start"),
    ],
)
def test_the_sign_stands_behind_the_path(url: str, sign: str, signed: str) -> None:
    assert ping.signed(url, sign) == signed


def test_a_monitor_is_told(monitor: Monitor) -> None:
    assert ping.send(ping.signed(monitor.url, "start")) is None
    assert monitor.paths == ["/ping/0f7c-secret/start"]


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_a_monitor_that_refuses_is_named_by_its_answer(monitor: Monitor, status: int) -> None:
    monitor.status = status
    assert ping.send(monitor.url) == f"it answered {status}"


def test_a_monitor_that_is_down_is_told_at_once() -> None:
    assert ping.send(f"http://127.0.0.1:{free_port()}/x") == "Connection refused"


def test_a_monitor_that_answers_drop_by_drop_is_not_waited_for(monitor: Monitor) -> None:
    monitor.drip = True
    started = time.monotonic()
    # Each byte comes within urllib's own timeout.
    assert ping.send(monitor.url, seconds=1.5) == "no answer within 1.5s"
    assert time.monotonic() - started > 1.4


def test_what_is_no_url_says_so_without_showing_it() -> None:
    assert ping.send("http://127.0.0.1:1/a secret") == "InvalidURL"
    assert ping.send("http://127.0.0.1:port/secret") == "InvalidURL"
