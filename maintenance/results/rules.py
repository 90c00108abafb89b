"""Which results go."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from celery.states import FAILURE, PENDING, RETRY, STARTED
from django.db.models import Q, QuerySet

from ..conf import Results
from . import tables
from .retention import UNDECLARED, Keeping, ago, keeping, keeping_failed

STUCK: Final = (PENDING, STARTED, RETRY)
Last = tuple[datetime, int] | None


@dataclass(frozen=True)
class Rules:
    """What a purge deletes: what finished before these times (None: nothing), of these statuses and tasks only."""

    keeping: Keeping
    keeping_failed: Keeping
    before: datetime | None
    failed_before: datetime | None
    stuck_before: datetime | None = None
    statuses: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    keep_last: int | None = None

    @property
    def only_tasks(self) -> bool:
        """Whether groups and chords stay: they have neither status nor name."""
        return bool(self.statuses or self.tasks)

    @property
    def delete_nothing(self) -> bool:
        """Whether everything is kept for ever."""
        return self.before is self.failed_before is self.stuck_before is None


def plan(
    *,
    now: datetime,
    given: Results,
    expires: object = UNDECLARED,
    older_than: timedelta | None = None,
    failed_older_than: timedelta | None = None,
    stuck: timedelta | None = None,
    statuses: tuple[str, ...] = (),
    tasks: tuple[str, ...] = (),
    keep_last: int | None = None,
) -> Rules:
    """Return the rules as of ``now``: the arguments, else the settings ``given``, else Celery's ``expires``.

    ``stuck`` 0 is none: a running task is not stuck. Raises BadSetting when ``expires`` is no duration.
    """
    kept = keeping(flag=older_than, setting=given.keep_for, expires=expires)
    kept_failed = keeping_failed(flag=failed_older_than, setting=given.keep_failed_for, others=kept)
    stuck = given.stuck_after if stuck is None else stuck
    return Rules(
        keeping=kept,
        keeping_failed=kept_failed,
        before=kept.before(now),
        failed_before=kept_failed.before(now),
        stuck_before=ago(stuck, now) if stuck else None,
        statuses=statuses,
        tasks=tasks,
        keep_last=keep_last or given.keep_last,
    )


def aged(rules: Rules, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return the rows that go when they are older than ``latest``, unless keep_last spares them."""
    tables.check_statuses(rules.statuses, rows)
    if latest(rules) is None:
        return rows.none()
    old = rows.filter(_by_status(rules)).filter(tables.matching(rules.tasks, rows))
    return old.filter(status__in=rules.statuses) if rules.statuses else old


def latest(rules: Rules) -> datetime | None:
    """Return the time before which all that goes has finished; None when nothing goes."""
    return max((limit for limit in (rules.before, rules.failed_before) if limit is not None), default=None)


def stuck(rules: Rules, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return the rows of tasks that have not moved for too long."""
    if rules.stuck_before is None:
        return rows.none()
    waiting = rows.filter(status__in=STUCK, date_done__lt=rules.stuck_before)
    return waiting.filter(tables.matching(rules.tasks, rows))


def newest(rules: Rules, rows: QuerySet[Any]) -> dict[str | None, Last]:
    """Return the oldest of the results that keep_last spares, of each task name; None where that is all of them."""
    if not rules.keep_last:
        return {}
    counted = rows.filter(status__in=rules.statuses) if rules.statuses else rows
    found = {}
    for name in tables.names(rows):
        latest = counted.filter(task_name=name).order_by("-date_done", "-pk").values_list("date_done", "pk")
        found[name] = next(iter(latest[rules.keep_last - 1 : rules.keep_last]), None)
    return found


def spare(kept: dict[str | None, Last]) -> Callable[[tuple[Any, ...]], bool] | None:
    """Return what tells whether a row (id, date, status, name) is among the newest of its name."""

    def is_kept(row: tuple[Any, ...]) -> bool:
        last = kept.get(row[3])
        return last is None or (row[1], row[0]) >= last

    return is_kept if kept else None


def _by_status(rules: Rules) -> Q:
    if rules.before == rules.failed_before:
        return Q()
    failed = Q(status=FAILURE, date_done__lt=rules.failed_before) if rules.failed_before else Q(pk__in=[])
    others = ~Q(status=FAILURE) & Q(date_done__lt=rules.before) if rules.before else Q(pk__in=[])
    return failed | others
