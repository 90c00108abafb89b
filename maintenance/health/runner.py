"""Running checks side by side under one deadline, whatever they raise becoming a finding.

Each runs in a daemon thread that nobody joins, so that one which hangs holds up neither the others nor the process.
It is not started again while it hangs: there is never more than one thread a check.
"""

import asyncio
import inspect
import logging
import queue
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from django.db import connections
from health_check.base import HealthCheck, HealthCheckResult
from health_check.exceptions import HealthCheckException, ServiceUnavailable, ServiceWarning

from ..errors import MaintenanceError
from ..process import redact
from .base import FAILED, OK, UNKNOWN, WARNING, Check, CouldNotAsk, Figure

__all__ = ["FAILED", "OK", "UNKNOWN", "WARNING", "Answer", "Finding", "look", "survey"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """What a check found. ``unknown`` means that it could not ask, which is never ``ok``."""

    id: str
    title: str
    state: str
    message: str
    consequence: str = ""
    cure: str = ""

    @property
    def words(self) -> str:
        """What was found, what follows from it, and what to do."""
        return " ".join(filter(None, (self.message, self.consequence, self.cure)))


@dataclass(frozen=True)
class Answer:
    """A finding, the figures that its check saw, and how long it took."""

    finding: Finding
    figures: tuple[Figure, ...] = ()
    seconds: float = 0.0


@dataclass
class _Run:
    check: HealthCheck
    started: float = field(default_factory=time.monotonic)
    answer: "Future[Answer]" = field(default_factory=Future)


_runs: list[_Run] = []
_lock = threading.Lock()


def look(checks: Iterable[HealthCheck], *, deadline: float, secrets: Iterable[str] = ()) -> list[Finding]:
    """Return a finding a check, in their order, after at most ``deadline`` seconds for all of them."""
    return [answer.finding for answer in survey(checks, deadline=deadline, secrets=secrets)]


def survey(checks: Iterable[HealthCheck], *, deadline: float, secrets: Iterable[str] = ()) -> list[Answer]:
    """Return an answer a check, in their order, after at most ``deadline`` seconds for all of them.

    A check starts once those that it needs, of the given ones, are well.
    """
    asked = {key_of(check): check for check in checks}
    until, hidden = time.monotonic() + deadline, tuple(secrets)
    ended: queue.SimpleQueue[tuple[str, Answer]] = queue.SimpleQueue()
    found: dict[str, Answer] = {}
    waiting = dict(asked)
    running: set[str] = set()
    while waiting or running:
        for key, check in list(waiting.items()):
            needs = [need for need in getattr(check, "needs", ()) if need in asked]
            if any(need not in found for need in needs):
                continue
            del waiting[key]
            broken = [need for need in needs if found[need].finding.state not in (OK, WARNING)]
            if broken:
                found[key] = _unknown(check, f"Could not ask: first mend {' and '.join(broken)}.")
            elif run := _begin(check, deadline, hidden):
                running.add(key)
                run.answer.add_done_callback(lambda answer, key=key: ended.put((key, answer.result())))  # type: ignore[misc]
            else:
                found[key] = _hangs(check, "It has still not answered an earlier question, and is not asked again.")
        if not running:
            continue  # what waits needs what was just found
        try:
            key, answer = ended.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            for late in running:
                found[late] = _hangs(asked[late], f"No answer within {deadline:g}s.")
            running.clear()
        else:
            running.remove(key)
            found[key] = answer
    return [found[key] for key in asked]


async def result(check: Check) -> HealthCheckResult:
    """Return the answer as django-health-check wants it, after the check's own ``timeout`` at most."""
    started, seconds = time.monotonic(), check.timeout.total_seconds()
    run = _begin(check, seconds, ())
    if run is None:
        finding = _hangs(check, "It has still not answered an earlier question, and is not asked again.").finding
    else:
        try:
            finding = (await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(run.answer)), seconds)).finding
        except TimeoutError:
            finding = _hangs(check, f"No answer within {seconds:g}s.").finding
    return HealthCheckResult(check=check, error=as_error(finding), time_taken=time.monotonic() - started)


def as_error(finding: Finding) -> HealthCheckException | None:
    """Return what django-health-check expects to be raised: nothing where all is well."""
    kinds: dict[str, type[HealthCheckException]] = {
        WARNING: ServiceWarning,
        FAILED: ServiceUnavailable,
        UNKNOWN: CouldNotAsk,
    }
    return None if finding.state == OK else kinds[finding.state](finding.words)


def ask(check: HealthCheck, secrets: Iterable[str] = ()) -> Answer:
    """Ask in this thread, and return what came of it. Raises nothing."""
    started, hidden = time.monotonic(), tuple(secrets)
    figures: list[Figure] = []
    sentences: list[str] = []
    state, consequence, cure = OK, "", ""
    try:
        for each in _answers(check):
            (figures if isinstance(each, Figure) else sentences).append(each)  # type: ignore[arg-type]
    except HealthCheckException as error:
        state = _state(error)
        sentences = [str(error.message)]
        consequence, cure = getattr(error, "consequence", ""), getattr(error, "cure", "")
    except MaintenanceError as error:
        state, sentences, cure = UNKNOWN, [error.message], error.cure
    except Exception as error:
        logger.exception("The check %r raised what it should not.", key_of(check))
        state, sentences = UNKNOWN, [f"unknown error ({type(error).__name__}): the log has its traceback."]
    finding = Finding(
        key_of(check), name_of(check), state, redact(" ".join(sentences), hidden), consequence, redact(cure, hidden)
    )
    return Answer(finding, tuple(figures), time.monotonic() - started)


def key_of(check: HealthCheck) -> str:
    """Return what a check is known by; one of somebody else as django-health-check shows it."""
    return check.key if isinstance(check, Check) else repr(check)


def name_of(check: HealthCheck) -> str:
    """Return what a check is called for people."""
    return check.name if isinstance(check, Check) else type(check).__name__


def _answers(check: HealthCheck) -> Iterable[str | Figure]:
    if isinstance(check, Check):
        return check.ask()
    run: Any = check.run
    if inspect.iscoroutinefunction(run):
        asyncio.run(run())
    else:
        run()
    return ()


def _begin(check: HealthCheck, patience: float, secrets: tuple[str, ...]) -> _Run | None:
    """Start a check, or join its run that has begun; return None where that hangs for longer than ``patience``."""
    with _lock:
        # By what it asks, not by its fields: a storage or a client in them is another object each time.
        run = next((each for each in _runs if key_of(each.check) == key_of(check)), None)
        if run is not None:
            return run if time.monotonic() - run.started <= patience else None
        run = _Run(check)
        _runs.append(run)
    threading.Thread(target=_do, args=(run, secrets), name=f"check {key_of(check)}", daemon=True).start()
    return run


def _do(run: _Run, secrets: tuple[str, ...]) -> None:
    try:
        answer = ask(run.check, secrets)
    finally:
        connections.close_all()  # of this thread
        with _lock:
            _runs.remove(run)
    run.answer.set_result(answer)


def _state(error: HealthCheckException) -> str:
    if isinstance(error, ServiceWarning):
        return WARNING
    return UNKNOWN if isinstance(error, CouldNotAsk) else FAILED


def _unknown(check: HealthCheck, message: str) -> Answer:
    return Answer(Finding(key_of(check), name_of(check), UNKNOWN, message))


def _hangs(check: HealthCheck, message: str) -> Answer:
    consequence, cure = getattr(check, "consequence", ""), getattr(check, "cure", "")
    finding = Finding(key_of(check), name_of(check), getattr(check, "hanging", FAILED), message, consequence, cure)
    return Answer(finding)
