"""Which looks at a check are worth a message."""

from datetime import UTC, datetime, timedelta

import pytest

from maintenance.health.alerts import causes, changes
from maintenance.health.alerts.changes import Change
from maintenance.health.runner import Finding

START = datetime(2030, 1, 1, tzinfo=UTC)
MINUTES = [START + timedelta(minutes=5 * at) for at in range(20)]


def told(states: str, *, looks: int = 2, remind_after: float = 3600) -> dict[int, tuple[str, str]]:
    """Return by look what is told of a check whose looks see these states: o(k), w(arning), f(ailed), u(nknown)."""
    words = {"o": "ok", "w": "warning", "f": "failed", "u": "unknown"}
    known, found = changes.new(START), {}
    for at, letter in enumerate(states):
        known, change = changes.step(
            known, words[letter], now=MINUTES[at], looks=looks, remind_after=timedelta(seconds=remind_after)
        )
        if change:
            found[at] = (change.kind, change.before)
    return found


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("oooo", {}),
        ("f", {}),
        ("ff", {1: ("failing", "ok")}),
        ("offff", {2: ("failing", "ok")}),
        ("ofofofo", {}),
        ("ffoo", {1: ("failing", "ok"), 3: ("recovered", "failed")}),
        ("ffofofff", {1: ("failing", "ok")}),
        ("wwff", {1: ("failing", "ok"), 3: ("changed", "warning")}),
        ("ffww", {1: ("failing", "ok"), 3: ("changed", "failed")}),
        ("uuoo", {1: ("failing", "ok"), 3: ("recovered", "unknown")}),
        ("wfwfwf", {}),
    ],
)
def test_a_change_is_told_once_after_two_looks_that_agree(states: str, expected: dict[int, tuple[str, str]]) -> None:
    assert told(states) == expected


def test_with_one_look_every_change_is_told() -> None:
    assert told("fof", looks=1) == {0: ("failing", "ok"), 1: ("recovered", "failed"), 2: ("failing", "ok")}


def test_what_stays_broken_is_told_again_and_not_a_moment_sooner() -> None:
    # Told at look 1 (5 min): the next ones are due at 65 min, look 13.
    assert told("f" * 14) == {1: ("failing", "ok"), 13: ("still failing", "failed")}
    assert told("f" * 14, remind_after=3601) == {1: ("failing", "ok")}
    assert told("f" * 20, remind_after=0) == {1: ("failing", "ok")}


def test_since_is_the_first_look_that_saw_it() -> None:
    known, looks = changes.new(START), []
    for at, state in enumerate(["ok", "failed", "failed", "failed", "ok", "ok"]):
        known, change = changes.step(known, state, now=MINUTES[at], looks=2, remind_after=timedelta(minutes=5))
        looks.append(change)
    assert looks == [
        None,
        None,
        Change("failing", "ok", MINUTES[1]),
        Change("still failing", "failed", MINUTES[1]),
        None,
        Change("recovered", "failed", MINUTES[1]),
    ]


def test_only_the_cause_is_told() -> None:
    found = [
        Finding("broker", "broker", "failed", "refused"),
        Finding("workers", "workers", "unknown", "Could not ask: first mend broker."),
        Finding("database", "database", "warning", "slow"),
        Finding("migrations", "migrations", "unknown", "unknown error"),
    ]
    needs = {"workers": ("broker",), "migrations": ("database",)}
    assert [each.id for each in causes(found, needs)] == ["broker", "database", "migrations"]
