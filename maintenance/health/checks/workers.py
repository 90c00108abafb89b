"""Workers: whether one answers, whether every queue has one, and whether a task goes all the way through."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from celery import Celery
from celery.backends.base import DisabledBackend
from celery.exceptions import TimeoutError as NoResult

from .. import asking
from ..base import FAILED, CouldNotAsk, Figure, OfApp
from ..memory import Memory

Consumed = dict[str, frozenset[str]]
"""The queues of each worker that answered."""

# Two checks ask the same at the same moment.
_answers: Memory[Consumed] = Memory(1.0)
_asking = threading.Lock()


@dataclass(repr=False)
class Workers(OfApp):
    """At least one worker answers. A solo worker that is busy does not."""

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
class Queues(OfApp):
    """Every declared queue has a worker that consumes it."""

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
class RoundTrip(OfApp):
    """The project's debug task goes to a worker, and its result comes back."""

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

    Raises CouldNotAsk.
    """
    with _asking:
        return _answers.recall((app, wait), lambda: _ask(app, wait))


def _ask(app: Celery, wait: float) -> Consumed:
    declared = set(app.amqp.queues)

    def complete(answers: asking.Answers) -> bool:
        found = _queues(answers)
        return bool(found) and not declared.difference(*found.values())

    return _queues(asking.workers(app, "active_queues", wait=wait, until=complete))


def _queues(answers: asking.Answers) -> Consumed:
    # A worker that does not know the question answers with an error.
    return {
        name: frozenset(queue["name"] for queue in queues)
        for name, queues in answers.items()
        if isinstance(queues, list)
    }
