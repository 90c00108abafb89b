"""Checks run side by side, under one deadline; whatever they raise is a finding, and no secret is repeated."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from health_check.base import HealthCheck
from health_check.exceptions import HealthCheckException, ServiceWarning

from maintenance.errors import Unavailable
from maintenance.health.base import Check, CouldNotAsk, Figure
from maintenance.health.runner import Finding, look, survey
from tests.processes import wait_for

Act = Callable[[], Iterable[str | Figure]]


@dataclass
class Fake(Check):
    name_: str
    act: Act = field(repr=False)
    title: ClassVar[str] = "fake"
    consequence: ClassVar[str] = "It hurts."
    cure: ClassVar[str] = "Mend it."

    @property
    def key(self) -> str:
        return self.name_

    def ask(self) -> Iterable[str | Figure]:
        return self.act()


@dataclass
class Dependent(Fake):
    needs: ClassVar[tuple[str, ...]] = ("first",)


def failing(error: Exception) -> Act:
    def act() -> Iterable[str | Figure]:
        raise error

    return act


def fine() -> Iterable[str]:
    return ["Fine."]


@pytest.fixture
def forever() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def found(*checks: HealthCheck, deadline: float = 5, secrets: Iterable[str] = ()) -> list[Finding]:
    return look(checks, deadline=deadline, secrets=secrets)


def test_silence_is_health_and_an_exception_is_the_finding() -> None:
    ill, doubtful = Fake("ill", fine), Fake("doubtful", fine)
    ill.act = failing(ill.failed("It is broken."))
    doubtful.act = failing(doubtful.warning("It may break.", cure="Look."))
    checks = [
        Fake("well", fine),
        Fake("silent", list),
        ill,
        doubtful,
        Fake("plain", failing(ServiceWarning("Somebody else's."))),
        Fake("shy", failing(CouldNotAsk("Nobody is there."))),
        Fake("foreseen", failing(Unavailable(service="S3", reason="no route"))),
    ]
    assert found(*checks) == [
        Finding("well", "fake", "ok", "Fine."),
        Finding("silent", "fake", "ok", ""),
        Finding("ill", "fake", "failed", "It is broken.", "It hurts.", "Mend it."),
        Finding("doubtful", "fake", "warning", "It may break.", "It hurts.", "Look."),
        Finding("plain", "fake", "warning", "Somebody else's."),
        Finding("shy", "fake", "unknown", "Nobody is there."),
        Finding("foreseen", "fake", "unknown", "S3 is unavailable: no route."),
    ]


def test_what_nobody_foresaw_is_an_unknown_error_and_the_log_has_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        assert found(Fake("odd", failing(KeyError("s3cret in it"))), Fake("well", fine)) == [
            Finding("odd", "fake", "unknown", "unknown error (KeyError): the log has its traceback."),
            Finding("well", "fake", "ok", "Fine."),
        ]
    assert [record.getMessage() for record in caplog.records] == ["The check 'odd' raised what it should not."]
    assert caplog.records[0].exc_info is not None


def test_figures_count_even_of_a_check_that_fails() -> None:
    def act() -> Iterator[str | Figure]:
        yield Figure("depth", 7, {"queue": "a"})
        yield "Seven wait."
        raise ServiceWarning("Too many.")

    answer = survey([Fake("queue", act)], deadline=5)[0]
    assert (answer.finding.message, answer.figures) == ("Too many.", (Figure("depth", 7, {"queue": "a"}),))
    assert answer.seconds >= 0


def test_no_secret_is_repeated() -> None:
    checks = [Fake("a", failing(CouldNotAsk("login s3cret refused"))), Fake("b", lambda: ["s3cret"])]
    assert [finding.message for finding in found(*checks, secrets=["s3cret", ""])] == ["login ** refused", "**"]


def test_a_hanging_check_is_left_behind_and_not_started_again(forever: threading.Event) -> None:
    starts: list[int] = []

    def hang() -> Iterable[str]:
        starts.append(1)
        forever.wait(60)
        return ["Late."]

    hanging = Fake("left behind", hang)
    started = time.monotonic()
    assert found(hanging, Fake("well", fine), deadline=0.2) == [
        Finding("left behind", "fake", "unknown", "No answer within 0.2s.", "It hurts.", "Mend it."),
        Finding("well", "fake", "ok", "Fine."),
    ]
    still = "It has still not answered an earlier question, and is not asked again."
    assert found(Fake("left behind", hang), deadline=0.01)[0].message == still
    assert time.monotonic() - started < 30
    assert found(Fake("left behind", fine), deadline=0.01)[0].message == still, "by what it asks, not by its fields"
    assert starts == [1]
    forever.set()
    wait_for(lambda: found(Fake("left behind", hang))[0].message == "Late.")


def test_two_looks_at_once_ask_once() -> None:
    starts: list[int] = []
    go = threading.Event()

    def slow() -> Iterable[str]:
        starts.append(1)
        go.wait(30)
        return ["Slow."]

    seen: list[Finding] = []
    lookers = [threading.Thread(target=lambda: seen.extend(found(Fake("slow", slow), deadline=30))) for _ in range(5)]
    for looker in lookers:
        looker.start()
    wait_for(lambda: starts)
    time.sleep(0.2)
    go.set()
    for looker in lookers:
        looker.join(30)
    assert ([finding.message for finding in seen], starts) == (["Slow."] * 5, [1])


def test_what_needs_a_broken_check_could_not_ask(forever: threading.Event) -> None:
    second = Dependent("second", failing(AssertionError("must not be asked")))
    hopeless = Finding("second", "fake", "unknown", "Could not ask: first mend first.")
    assert found(second, Fake("first", failing(CouldNotAsk("down"))))[0] == hopeless
    well = Dependent("second", fine)
    doubtful = failing(ServiceWarning("nearly"))
    for first in (Fake("first", fine), Fake("first", doubtful)):
        assert found(well, first)[0] == Finding("second", "fake", "ok", "Fine.")
    assert found(well) == [Finding("second", "fake", "ok", "Fine.")], "nobody asked the first"
    assert found(second, Fake("first", lambda: [str(forever.wait(60))]), deadline=0.1)[0] == hopeless


@dataclass
class Foreign(HealthCheck):  # type: ignore[misc] # untyped
    host: str = "here"
    problem: Exception | None = field(default=None, repr=False)

    async def run(self) -> None:
        await asyncio.sleep(0)
        if self.problem:
            raise self.problem


def test_somebody_elses_check_is_asked_too() -> None:
    assert [(each.id, each.state) for each in found(Foreign(), Foreign("there", ServiceWarning("x")))] == [
        ("Foreign(host='here')", "ok"),
        ("Foreign(host='there')", "warning"),
    ]


def test_as_a_check_of_django_health_check(forever: threading.Event) -> None:
    doubtful = Fake("doubtful", fine)
    doubtful.act = failing(doubtful.warning("It may break."))
    error = asyncio.run(doubtful.get_result()).error
    assert isinstance(error, ServiceWarning)
    assert str(error) == "Warning: It may break. It hurts. Mend it."
    with pytest.raises(ServiceWarning, match=r"^Warning: It may break\."):
        doubtful.run()
    well = Fake("well", fine)
    well.run()
    assert asyncio.run(well.get_result()).error is None
    hanging = Fake("hangs", lambda: [str(forever.wait(60))])
    hanging.timeout = type(hanging.timeout)(seconds=0.1)
    started = time.monotonic()
    error = asyncio.run(hanging.get_result()).error
    assert isinstance(error, HealthCheckException)
    assert error.message == "No answer within 0.1s. It hurts. Mend it."
    assert time.monotonic() - started < 30, "and asyncio.run() joined no thread"
