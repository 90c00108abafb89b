"""What can be done from the page: each finds its object, asks, and enqueues a task."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS

from .. import project, tasks
from ..backups import shelves
from ..backups.errors import NoBackup
from ..backups.shelves import Place
from ..errors import MaintenanceError, Unavailable
from ..management import backups as planning
from ..results import history, resend
from . import asking
from .page import BACKUPS
from .sending import send

Found = project.Found
# Seconds for a storage.
_PATIENCE: Final = 5.0


class CannotRetry(MaintenanceError):
    """The task {id} cannot be sent again: {reason}."""


@dataclass(frozen=True)
class Target:
    """What is acted on: its id in requests, its name for people, and its row (model label, key) where it has one."""

    id: str
    words: str
    row: tuple[str, int] | None = None


@dataclass(frozen=True)
class Action:
    """A button: what it says, what it asks, what it does. ``act`` returns the id of the task that it sent, if any."""

    name: str
    label: str
    question: str
    find: Callable[[str], Target | None]
    act: Callable[[Target, Found], str] | None
    explanation: str = ""
    superuser: bool = False

    def ask(self, target: Target) -> str:
        """Return the question about ``target``."""
        return self.question.format(target.words)


def _schedule(name: str) -> Target | None:
    if not apps.is_installed("django_celery_beat"):
        return None
    from ..schedules import switch

    key = switch.known(name, using=DEFAULT_DB_ALIAS)
    return None if key is None else Target(name, name, ("django_celery_beat.PeriodicTask", key))


def _failure(task_id: str) -> Target | None:
    if not apps.is_installed("django_celery_results"):
        return None
    found = history.failure(task_id)
    if found is None:
        return None
    return Target(task_id, found.listed.task or task_id, ("django_celery_results.TaskResult", found.key))


def places(id_: str) -> tuple[Place, ...]:
    """Return where the backup is, nearest first; nothing where there is none. Raises Unavailable."""
    destinations = planning.destinations()
    asked = asking.begin({BACKUPS: lambda: shelves.look(destinations)})
    answer = asked[BACKUPS].answer(time.monotonic() + _PATIENCE)
    if answer.trouble:
        raise Unavailable(service="The backups' storage", reason=answer.trouble)
    try:
        return shelves.find(answer.value, id_, alias="")
    except NoBackup:
        return ()


def _backup(id_: str) -> Target | None:
    found = places(id_) if id_ != "latest" else ()
    return Target(id_, f"{id_} of {found[0].entry.manifest.alias}") if found else None


def _run(target: Target, found: Found) -> str:
    from ..beat import now

    project.discover(found.app)
    return str(now.send(target.id, app=found.app, broker=found.broker, using=DEFAULT_DB_ALIAS).id)


def _sends(task: Any, *more: Any) -> Callable[[Target, Found], str]:
    return lambda target, found: send(task, target.id, *more, app=found.app, broker=found.broker)


def _retry(target: Target, found: Found) -> str:
    project.discover(found.app)
    plan = resend.plan(resend.by_id([target.id]), app=found.app)
    for refused in plan.refused:
        raise CannotRetry(id=target.id, reason=refused.reason)
    if target.id in plan.already:
        raise CannotRetry(id=target.id, reason=f"it was already, as {plan.already[target.id]}")
    return send(tasks.retry_result, target.id, app=found.app, broker=found.broker)


_ALL = (
    Action("run", "Run now", "Send the schedule “{}” now?", _schedule, _run, "As beat would, also if it is disabled."),
    Action("enable", "Enable", "Enable the schedule “{}”?", _schedule, _sends(tasks.switch_schedule, True)),
    Action(
        *("disable", "Disable", "Disable the schedule “{}”?", _schedule, _sends(tasks.switch_schedule, False)),
        "It stays so, also after sync_schedules, until somebody enables it.",
    ),
    Action(
        *("reset", "Reset", "Forget the last run of the schedule “{}”?", _schedule, _sends(tasks.reset_schedule)),
        "Beat then computes its next run afresh, as after a change of the time zone.",
    ),
    Action(
        *("verify", "Verify", "Verify the backup {}?", _backup, _sends(tasks.verify_one_backup)),
        "It is restored into a scratch database and compared: this takes as long as a restore.",
    ),
    Action(
        *("download", "Download", "Download the backup {}?", _backup, None),
        "Its file as it is stored, compressed and perhaps encrypted.",
        superuser=True,
    ),
    Action("retry", "Retry", "Send the failed task “{}” again?", _failure, _retry, "With the same arguments, once."),
)
ACTIONS = {action.name: action for action in _ALL}
