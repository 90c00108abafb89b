"""Checks run side by side, with a deadline; whatever they raise is a finding, and no secret is repeated."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from maintenance.health.runner import Check, CouldNotAsk, Finding, Unhealthy, run_all


@dataclass(frozen=True)
class Fake(Check):
    label: str
    act: Callable[[], str]
    consequence: ClassVar[str] = "It hurts."
    cure: ClassVar[str] = "Mend it."

    @property
    def name(self) -> str:
        return self.label

    @property
    def patience(self) -> float:
        return 0.2

    def run(self) -> str:
        return self.act()


@dataclass(frozen=True)
class Dependent(Fake):
    needs: ClassVar[tuple[str, ...]] = ("first",)


def failing(error: Exception) -> Callable[[], str]:
    def act() -> str:
        raise error

    return act


def test_silence_is_no_answer_and_an_exception_is_the_finding() -> None:
    checks = [
        Fake("well", lambda: "Fine."),
        Fake("ill", failing(Unhealthy(problem="It is broken."))),
        Fake("odd", failing(KeyError("never seen\nsecond line"))),
        Fake("mute", failing(OSError())),
        Fake("shy", failing(CouldNotAsk(reason="Could not ask: nobody there."))),
    ]
    assert run_all(checks) == [
        Finding("well", "ok", "Fine."),
        Finding("ill", "failed", "It is broken.", "It hurts.", "Mend it."),
        Finding("odd", "failed", "'never seen\\nsecond line'.", "It hurts.", "Mend it."),
        Finding("mute", "failed", "OSError.", "It hurts.", "Mend it."),
        Finding("shy", "unknown", "Could not ask: nobody there."),
    ]


def test_no_secret_is_repeated() -> None:
    checks = [Fake("a", failing(OSError("login s3cret refused"))), Fake("b", lambda: "s3cret"), Fake("c", lambda: "")]
    found = run_all(checks, secrets=["s3cret", ""])
    assert [finding.message for finding in found] == ["login ** refused.", "**", ""]


def test_a_hanging_check_is_left_behind_and_the_others_are_heard() -> None:
    forever = threading.Event()
    started = time.monotonic()
    found = run_all([Fake("hangs", lambda: str(forever.wait(20))), Fake("well", lambda: "Fine.")])
    forever.set()
    assert time.monotonic() - started < 5
    assert found == [
        Finding("hangs", "failed", "No answer within 0.2s.", "It hurts.", "Mend it."),
        Finding("well", "ok", "Fine."),
    ]


def test_what_needs_a_broken_check_could_not_ask() -> None:
    second = Dependent("second", lambda: "Fine.")
    assert run_all([second, Fake("first", failing(OSError("down")))])[0] == Finding(
        "second", "unknown", "Could not ask: first mend first."
    )
    assert run_all([second, Fake("first", lambda: "up")])[0] == Finding("second", "ok", "Fine.")
    assert run_all([second]) == [Finding("second", "ok", "Fine.")]
