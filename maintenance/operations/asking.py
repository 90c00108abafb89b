"""Asking what may be silent (brokers, storages) from a page that must answer: in daemon threads, with one deadline."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, connections

from ..errors import MaintenanceError

Question = Callable[[], AbstractContextManager[Any]]
"""Gives the answer; what it has to clear up afterwards, nobody waits for."""


@dataclass(frozen=True)
class Answer:
    """What was answered, or why nothing was."""

    value: Any = None
    trouble: str = ""


@dataclass
class _Asked:
    future: "Future[Answer]"
    begun: float


_asked: dict[str, _Asked] = {}
_lock = threading.Lock()


def ask(questions: Mapping[str, Question], *, seconds: float, fresh: float = 2.0) -> dict[str, Answer]:
    """Return the answers by name, within ``seconds`` for all; an answer serves whoever asks for ``fresh`` seconds more.

    A question that still waits for its answer is not asked a second time: a silent server costs one thread a process.
    """
    deadline = time.monotonic() + seconds
    asked = {name: _put(name, question, fresh) for name, question in questions.items()}
    answers = {}
    for name, each in asked.items():
        try:
            answers[name] = each.future.result(max(0.0, deadline - time.monotonic()))
        except NotYet:
            waiting = time.monotonic() - each.begun
            answers[name] = Answer(trouble=f"no answer within {max(waiting, seconds):.1f} s")
    return answers


def _put(name: str, question: Question, fresh: float) -> _Asked:
    with _lock:
        before = _asked.get(name)
        if before and (not before.future.done() or time.monotonic() - before.begun < fresh):
            return before
        _asked[name] = now = _Asked(Future(), time.monotonic())
        threading.Thread(target=_answer, args=(question, now.future), name=f"ops page: {name}", daemon=True).start()
        return now


def _answer(question: Question, future: "Future[Answer]") -> None:
    trouble = "it failed: the log tells why"
    try:
        with question() as value:
            future.set_result(Answer(value))
    except MaintenanceError as error:
        trouble = error.message
    except (OSError, DatabaseError) as error:
        trouble = str(error).strip() or type(error).__name__
    finally:
        connections.close_all()  # of this thread
        if not future.done():
            future.set_result(Answer(trouble=trouble))
