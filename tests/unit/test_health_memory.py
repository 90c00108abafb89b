"""What is remembered of dear questions, for how long, and how it is found anew."""

import threading
from collections.abc import Callable

import pytest

from maintenance.errors import Unavailable
from maintenance.health.memory import Memory
from tests.processes import wait_for


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def shift(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def counter() -> Callable[[], int]:
    counts = iter(range(1, 100))
    return lambda: next(counts)


def test_it_is_remembered_for_a_while_and_as_long_as_its_mark_is_the_same(clock: Clock) -> None:
    memory, find = Memory[int](10, clock=clock), counter()
    assert [memory.recall("a", find), memory.recall("a", find), memory.recall("b", find)] == [1, 1, 2]
    clock.shift(9.9)
    assert memory.recall("a", find) == 1
    clock.shift(0.2)
    assert memory.recall("a", find) == 3
    assert [memory.recall("a", find, mark=mark) for mark in ("x", "x", "y")] == [4, 4, 5]
    memory.forget()
    assert memory.recall("a", find, mark="y") == 6


def test_what_raises_is_not_remembered() -> None:
    memory = Memory[int](10)

    def fail() -> int:
        raise Unavailable(service="it", reason="down")

    for _ in range(2):
        with pytest.raises(Unavailable):
            memory.recall("a", fail)
    assert memory.recall("a", lambda: 1) == 1


def test_an_older_value_answers_while_another_is_found(clock: Clock) -> None:
    memory, go = Memory[int](10, at_most=60, clock=clock), threading.Event()
    finds: list[int] = []

    def slow() -> int:
        finds.append(1)
        go.wait(30)
        return 2

    assert memory.recall("a", lambda: 1) == 1
    clock.shift(11)
    assert [memory.recall("a", slow) for _ in range(3)] == [1, 1, 1]
    wait_for(lambda: finds)
    go.set()
    wait_for(lambda: memory.recall("a", slow) == 2)
    assert finds == [1]
    clock.shift(61)
    assert memory.recall("a", lambda: 3) == 3, "too old to answer"


def test_a_value_that_could_not_be_found_anew_is_forgotten(clock: Clock) -> None:
    memory = Memory[int](10, at_most=60, clock=clock)
    memory.recall("a", lambda: 1)
    clock.shift(11)

    def fail() -> int:
        raise Unavailable(service="it", reason="down")

    assert memory.recall("a", fail) == 1
    wait_for(lambda: memory.recall("a", lambda: 2) == 2)
