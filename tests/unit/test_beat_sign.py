"""Beat's sign of life: a ping a minute, as long as beat does its work."""

import logging
import time
from collections.abc import Iterator

import pytest

from maintenance.beat.sign import Sign
from tests.monitor import Monitor
from tests.processes import wait_for


@pytest.fixture
def watcher() -> Iterator[Monitor]:
    server = Monitor()
    yield server
    server.close()


def test_it_pings_only_while_beat_lives_and_never_keeps_it_waiting(watcher: Monitor) -> None:
    watcher.drip = True
    sign = Sign(watcher.url, every=0.05)
    sign.start()
    began = time.monotonic()
    for _ in range(1000):
        sign.alive()
    assert time.monotonic() - began < 1
    wait_for(lambda: watcher.paths, about="the first ping")
    sign.stop()


def test_a_beat_that_stopped_ticking_gives_no_sign(watcher: Monitor) -> None:
    sign = Sign(watcher.url, every=0.05)
    sign.start()
    sign.alive()
    wait_for(lambda: len(watcher.paths) == 1)
    sign.alive()
    wait_for(lambda: len(watcher.paths) == 2)
    time.sleep(0.5)
    assert watcher.paths == ["/ping/0f7c-secret"] * 2
    sign.stop()


def test_a_watcher_that_fails_is_named_once_without_its_address(
    watcher: Monitor, caplog: pytest.LogCaptureFixture
) -> None:
    watcher.status = 500
    sign = Sign(watcher.url, every=0.01)
    with caplog.at_level(logging.INFO, "maintenance.beat"):
        sign.start()
        for count in (1, 2, 3):
            sign.alive()
            wait_for(lambda wanted=count: len(watcher.paths) == wanted)  # type: ignore[misc]
        watcher.status = 200
        sign.alive()
        wait_for(lambda: "reaches" in caplog.text)
        sign.stop()
    assert [record.getMessage() for record in caplog.records] == [
        "The sign of life to 127.0.0.1 failed: it answered 500. Trying again each minute.",
        "The sign of life reaches 127.0.0.1 again.",
    ]
