"""Workers: whether one answers, whether every queue has one, and whether a task goes all the way through."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from celery import Celery
from celery.app import app_or_default
from celery.backends.base import DisabledBackend
from celery.exceptions import TimeoutError as NoResult
from kombu.exceptions import KombuError

from ... import broker
from ..asking import first_line
from ..base import FAILED, Check, CouldNotAsk, Figure
from ..memory import Memory

Consumed = dict[str, frozenset[str]]
"""The queues of each worker that answered."""

# Two checks ask the same at the same moment.
_answers: Memory[Consumed] = Memory(1.0)
_asking = threading.Lock()


class _Enough(Exception):
    """Every queue is known to have a worker."""


@dataclass(repr=False)
class Workers(Check):
    """At least one worker answers. A solo worker that is busy does not."""

    app: Celery = field(default_factory=app_or_default, repr=False)
    wait: float = 0.5
    id: ClassVar[str] = "workers"
    title: ClassVar[str] = "workers"
    needs: ClassVar[tuple[str, ...]] = ("broker",)
    consequence: ClassVar[str] = "Tasks wait in their queues."
    cure: ClassVar[str] = "Start one: `manage.py run_worker`."
    hanging: ClassVar[str] = FAILED

    def ask(self) -> Iterator[str | Figure]:
        names = sorted(consumed(self.app, self.wait))
        yield Figure("workers_answering", len(names))
        if not names:
            raise self.failed(f"None answers within {self.wait:g}s.")
        yield f"{', '.join(names)} {'answers' if len(names) == 1 else 'answer'}."


@dataclass(repr=False)
class Queues(Check):
    """Every declared queue has a worker that consumes it."""

    app: Celery = field(default_factory=app_or_default, repr=False)
    wait: float = 0.5
    id: ClassVar[str] = "queues"
    title: ClassVar[str] = "queues"
    needs: ClassVar[tuple[str, ...]] = ("broker", "workers")
    consequence: ClassVar[str] = "Tasks that are sent there are never done."
    cure: ClassVar[str] = "Start a worker with -Q and their names, or take the queues out of CELERY_TASK_QUEUES."

    def ask(self) -> Iterator[str | Figure]:
        answered = consumed(self.app, self.wait)
        alone = [name for name in self.app.amqp.queues if not any(name in queues for queues in answered.values())]
        for name in self.app.amqp.queues:
            yield Figure("queue_consumers", sum(name in queues for queues in answered.values()), {"queue": name})
        if alone:
            names = ", ".join(repr(name) for name in alone)
            raise self.failed(f"No worker that answers within {self.wait:g}s consumes {names}.")
        yield "Each has a worker."


@dataclass(repr=False)
class RoundTrip(Check):
    """The project's debug task goes to a worker, and its result comes back."""

    app: Celery = field(default_factory=app_or_default, repr=False)
    wait: float = 5.0
    id: ClassVar[str] = "round-trip"
    title: ClassVar[str] = "round trip"
    needs: ClassVar[tuple[str, ...]] = ("broker",)
    consequence: ClassVar[str] = "Tasks are not done, or their results are lost."
    cure: ClassVar[str] = "See that a worker consumes the task's queue and uses the same broker, database and settings."
    hanging: ClassVar[str] = FAILED

    def ask(self) -> Iterator[str | Figure]:
        names = sorted(name for name in self.app.tasks if name.endswith(".debug_task"))
        if not names:
            raise CouldNotAsk("Could not ask: the project has no debug_task, as Celery's guide has.")
        if isinstance(self.app.backend, DisabledBackend):
            raise CouldNotAsk("Could not ask: there is no result backend (CELERY_RESULT_BACKEND).")
        started = time.monotonic()
        # It expires, so that nothing of it is done later; results are asked for even where the task ignores them.
        sent = self.app.tasks[names[0]].apply_async(expires=self.wait, ignore_result=False, retry=False)
        try:
            sent.get(timeout=self.wait, interval=0.1)
        except NoResult as error:
            raise self.failed(f"{names[0]} was not done within {self.wait:g}s.") from error
        finally:
            sent.forget()
        yield f"{names[0]} was done in {time.monotonic() - started:.1f}s."


def consumed(app: Celery, wait: float) -> Consumed:
    """Return the workers that answer within ``wait`` seconds, with their queues; sooner once every queue has one.

    A beat under remote control answers too, and is none. Raises CouldNotAsk.
    """
    with _asking:
        return _answers.recall((app, wait), lambda: _ask(app, wait))


def _ask(app: Celery, wait: float) -> Consumed:
    found: Consumed = {}
    until = time.monotonic() + wait

    def heard(reply: dict[str, Any]) -> None:
        for name, queues in reply.items():
            # What does not know the question answers with an error.
            if not name.startswith("celerybeat@") and isinstance(queues, list):
                found[name] = frozenset(queue["name"] for queue in queues)
        missing = set(app.amqp.queues).difference(*found.values())
        if (found and not missing) or time.monotonic() > until:
            raise _Enough

    connection = broker.bounded(app)
    errors = (*connection.connection_errors, *connection.channel_errors)
    trouble: tuple[type[BaseException], ...] = (*errors, OSError, KombuError)
    try:
        control: Any = app.control
        control.broadcast("active_queues", reply=True, timeout=wait, callback=heard, connection=connection)
    except _Enough:
        pass
    except trouble as error:
        raise CouldNotAsk(f"The broker cannot pass questions on: {first_line(error)}") from error
    finally:
        connection.release()
    return found
