"""Asking what may be silent (brokers, storages) for a page that must answer: in daemon threads, with one deadline."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError, connections

from ..errors import MaintenanceError

Question = Callable[[], Any]


@dataclass(frozen=True)
class Answer:
    """What was answered, or why nothing was."""

    value: Any = None
    trouble: str = ""


@dataclass(frozen=True)
class Asked:
    """A question under way, or answered."""

    future: "Future[Answer]" = field(default_factory=Future)
    begun: float = field(default_factory=time.monotonic)

    def answer(self, until: float) -> Answer:
        """Return the answer, or at the time ``until`` (monotonic) that there is none."""
        try:
            return self.future.result(max(0.0, until - time.monotonic()))
        except NotYet:
            return Answer(trouble=f"no answer within {time.monotonic() - self.begun:.1f} s")


_asked: dict[str, Asked] = {}
_lock = threading.Lock()


def begin(questions: Mapping[str, Question], *, fresh: float = 2.0) -> dict[str, Asked]:
    """Ask, and return at once; an answer serves whoever asks the same within ``fresh`` seconds.

    A question that still waits for its answer is not asked a second time: a silent server costs one thread a process.
    """
    return {name: _put(name, question, fresh) for name, question in questions.items()}


def forget() -> None:
    """Forget all answers: the next who asks is not served an old one."""
    with _lock:
        for name in [name for name, asked in _asked.items() if asked.future.done()]:
            del _asked[name]


def _put(name: str, question: Question, fresh: float) -> Asked:
    with _lock:
        before = _asked.get(name)
        if before and (not before.future.done() or time.monotonic() - before.begun < fresh):
            return before
        _asked[name] = now = Asked()
        threading.Thread(target=_ask, args=(question, now.future), name=f"ops page: {name}", daemon=True).start()
        return now


def _ask(question: Question, future: "Future[Answer]") -> None:
    trouble = "it failed: the log tells why"
    try:
        future.set_result(Answer(question()))
    except MaintenanceError as error:
        trouble = error.message
    except (OSError, DatabaseError) as error:
        trouble = str(error).strip() or type(error).__name__
    finally:
        connections.close_all()  # of this thread
        if not future.done():
            future.set_result(Answer(trouble=trouble))
