"""What every check is: a HealthCheck of django-health-check that also has an id, its consequence and its cure."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import ClassVar

from celery import Celery
from celery.app import app_or_default
from health_check.base import HealthCheck, HealthCheckResult
from health_check.exceptions import HealthCheckException, ServiceUnavailable, ServiceWarning

OK, WARNING, FAILED, UNKNOWN = "ok", "warning", "failed", "unknown"


class CouldNotAsk(HealthCheckException):  # type: ignore[misc] # untyped
    """Whether it is well cannot be told, which is never the same as well."""

    message_type = "Could Not Ask"


class _Telling(HealthCheckException):  # type: ignore[misc] # untyped
    """Says also what follows, and what to do."""

    def __init__(self, message: str, consequence: str, cure: str) -> None:
        super().__init__(message)
        self.consequence, self.cure = consequence, cure


class Doubtful(_Telling, ServiceWarning):  # type: ignore[misc] # untyped
    """What warning() returns."""


class Ill(_Telling, ServiceUnavailable):  # type: ignore[misc] # untyped
    """What failed() returns."""


@dataclass(frozen=True)
class Figure:
    """A number that a check has seen, as /metrics tells it."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(repr=False)
class Check(HealthCheck):  # type: ignore[misc] # untyped
    """A question to a part of the stack. Whatever is not well is raised."""

    id: ClassVar[str] = ""
    title: ClassVar[str] = ""
    consequence: ClassVar[str] = ""
    cure: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ()
    """Keys of the checks that must be well before this one can ask."""
    rules: ClassVar[tuple[str, ...]] = ()
    """Ids of the rules that tell the same of the settings alone: doctor says it once."""
    hanging: ClassVar[str] = UNKNOWN
    """The state that no answer in time means."""

    def __repr__(self) -> str:
        """Return what it is called in django-health-check's reports."""
        return self.key

    @property
    def label(self) -> str:
        """Which one of several of its kind it asks; an empty string for the usual one."""
        return ""

    @property
    def key(self) -> str:
        """Its id, and which one of several."""
        return f"{self.id}:{self.label}" if self.label else self.id

    @property
    def name(self) -> str:
        """Its title, and which one of several."""
        return f"{self.title} {self.label}" if self.label else self.title

    @property
    def labels(self) -> dict[str, str]:
        """What OpenMetrics tells of which check it is."""
        return {"check": self.key}

    @abstractmethod
    def ask(self) -> Iterable[str | Figure]:
        """Yield what is found well, in sentences, and figures. Raises what warning() and failed() return; CouldNotAsk.

        A generator may yield first and raise then: its figures count.
        """

    def warning(self, message: str, *, consequence: str = "", cure: str = "") -> Doubtful:
        """Return what to raise where the check is in doubt."""
        return Doubtful(message, consequence or self.consequence, cure or self.cure)

    def failed(self, message: str, *, consequence: str = "", cure: str = "") -> Ill:
        """Return what to raise where it is ill."""
        return Ill(message, consequence or self.consequence, cure or self.cure)

    def run(self) -> None:
        """Ask in this thread, as django-health-check does: silence is health."""
        from . import runner  # which knows checks

        error = runner.as_error(runner.ask(self).finding)
        if error is not None:
            raise error

    async def get_result(self, executor: Executor | None = None) -> HealthCheckResult:
        """Ask in the runner's thread, not in ``executor``: whoever made that would wait for a check that hangs."""
        from . import runner  # which knows checks

        return await runner.result(self)


@dataclass(repr=False)
class OfApp(Check):
    """A check that asks what a Celery app uses: the current one, unless another is given."""

    app: Celery = field(default_factory=app_or_default, repr=False)
