"""Running checks: each in its own thread with a deadline, whatever it raises becoming a finding."""

import queue
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from django.db import connections

from ..errors import MaintenanceError
from ..process import redact

OK, WARNING, FAILED, UNKNOWN = "ok", "warning", "failed", "unknown"


class Unhealthy(MaintenanceError):
    """{problem}"""


class CouldNotAsk(MaintenanceError):
    """{reason}"""


@dataclass(frozen=True)
class Finding:
    """What a check found. ``unknown`` means that it could not ask, which is never ``ok``."""

    name: str
    state: str
    message: str
    consequence: str = ""
    cure: str = ""


@dataclass(frozen=True)
class Check:
    """A question to a service. Silence is no answer: ``run`` returns what is well, and raises what is not."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Names of the checks that must be ok before this one can ask."""
    consequence: ClassVar[str] = ""
    cure: ClassVar[str] = ""

    @property
    def name(self) -> str:
        """What is asked, as shown and as others need it."""
        raise NotImplementedError

    @property
    def patience(self) -> float:
        """Seconds after which it counts as hanging."""
        return 4.5

    def run(self) -> str:
        """Return what was found well. Raises Unhealthy, CouldNotAsk, or whatever the service's client raises."""
        raise NotImplementedError


def run_all(checks: Iterable[Check], *, secrets: Iterable[str] = ()) -> list[Finding]:
    """Return a finding a check, in their order. Those that need nothing of each other run side by side.

    A check that hangs is left behind in its daemon thread, so that all end within the sum of the stages' patience.
    """
    asked = list(checks)
    hidden = tuple(secrets)
    found: dict[str, Finding] = {}
    waiting = asked
    while waiting:
        names = {check.name for check in waiting}
        stage = [check for check in waiting if not names.intersection(check.needs)]
        found |= _stage(stage, found, hidden)
        waiting = [check for check in waiting if check not in stage]
    return [found[check.name] for check in asked]


def _stage(checks: Sequence[Check], before: dict[str, Finding], secrets: tuple[str, ...]) -> dict[str, Finding]:
    found = {}
    answers: queue.Queue[Finding] = queue.Queue()
    running = {}
    for check in checks:
        missing = [name for name in check.needs if name in before and before[name].state != OK]
        if missing:
            found[check.name] = Finding(check.name, UNKNOWN, f"Could not ask: first mend {' and '.join(missing)}.")
            continue
        running[check.name] = check
        threading.Thread(target=lambda check=check: answers.put(_ask(check, secrets)), daemon=True).start()
    started = time.monotonic()
    for check in sorted(running.values(), key=lambda check: check.patience):
        while check.name not in found:
            left = started + check.patience - time.monotonic()
            try:
                answer = answers.get(timeout=max(0.0, left))
            except queue.Empty:
                message = f"No answer within {check.patience:g}s."
                answer = Finding(check.name, FAILED, message, check.consequence, check.cure)
            found[answer.name] = answer
    return found


def _ask(check: Check, secrets: tuple[str, ...]) -> Finding:
    try:
        return Finding(check.name, OK, redact(check.run(), secrets))
    except CouldNotAsk as error:
        return Finding(check.name, UNKNOWN, redact(str(error), secrets))
    except Unhealthy as error:
        return Finding(check.name, FAILED, redact(str(error), secrets), check.consequence, check.cure)
    except Exception as error:  # noqa: BLE001 - the one place: an exception is the finding
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return Finding(check.name, FAILED, redact(f"{lines[0].rstrip('.')}.", secrets), check.consequence, check.cure)
    finally:
        connections.close_all()  # of this thread
