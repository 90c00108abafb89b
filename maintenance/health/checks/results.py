"""Results: whether old ones are deleted, and how many tasks fail."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from celery.states import FAILURE, READY_STATES

from ... import results
from ...conf import Results
from ...results import stats
from ...results.stats import TaskStats
from ...units import counted, human_duration
from .. import asking
from ..base import Check, Figure
from ..memory import Memory

# The purge runs daily: what is a day over its time was met by none.
_MARGIN: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_hour: Memory[list[TaskStats]] = Memory(10.0)


@dataclass(repr=False)
class Backlog(Check):
    """No result is much older than it may become."""

    given: Results = Results()
    expires: object = results.UNDECLARED
    id: ClassVar[str] = "results.backlog"
    title: ClassVar[str] = "old results"
    needs: ClassVar[tuple[str, ...]] = ("database", "migrations")
    consequence: ClassVar[str] = "Their tables grow for ever, and the admin becomes slow."
    cure: ClassVar[str] = "Run `manage.py purge_results`, and see why maintenance.purge_results did not."

    def ask(self) -> Iterator[str | Figure]:
        now = datetime.now(UTC)
        rules = results.plan(now=now, given=self.given, expires=self.expires)
        if rules.keep_last:
            yield "Some of each task are kept, however old."
            return
        with asking.the_database():
            found = {
                "failures": (results.oldest(of=[FAILURE]), rules.failed_before),
                "results": (results.oldest(of=READY_STATES - {FAILURE}), rules.before),
            }
        for what, (oldest, before) in found.items():
            if oldest is None:
                continue
            yield Figure("results_oldest_seconds", (now - oldest).total_seconds(), {"kind": what})
            if before is not None and oldest < before - _MARGIN:
                over = human_duration(round((before - oldest).total_seconds()))
                raise self.warning(f"The oldest {what} are kept {over} longer than they should be.")
        yield "None is older than it may become."


@dataclass(repr=False)
class Failures(Check):
    """Few of the tasks that ended in the last hour failed."""

    percent: int = 20
    least: int = 10
    """With fewer runs than that nothing is said."""
    id: ClassVar[str] = "results.failures"
    title: ClassVar[str] = "failed tasks"
    needs: ClassVar[tuple[str, ...]] = ("database", "migrations")
    consequence: ClassVar[str] = "What they do is not done."
    cure: ClassVar[str] = "See why: `manage.py list_results --status FAILURE`; then `manage.py retry_results`."

    def ask(self) -> Iterator[str | Figure]:
        with asking.the_database():
            found = _hour.recall("", lambda: stats.read(since=datetime.now(UTC) - _HOUR))
        for task in found:
            yield from _figures(task)
        runs, failures = sum(task.runs for task in found), sum(task.failures for task in found)
        said = f"{failures} of {counted(runs, 'run')} in the last hour failed."
        if runs >= self.least and failures * 100 > self.percent * runs:
            raise self.warning(said)
        yield said


def forget() -> None:
    """Look anew next time."""
    _hour.forget()


def _figures(task: TaskStats) -> Iterator[Figure]:
    which = {"task": task.task or ""}
    yield Figure("task_runs_last_hour", task.runs, which)
    yield Figure("task_failures_last_hour", task.failures, which)
    for quantile, seconds in (("0.5", task.duration.p50), ("0.95", task.duration.p95), ("1", task.duration.max)):
        if seconds is not None:
            yield Figure("task_duration_seconds", seconds, {**which, "quantile": quantile})
