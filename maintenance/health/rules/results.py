"""Rules of results: where they go, what is lost on the way, and who deletes them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ... import results
from .base import ERROR, WARNING, Trouble, rule
from .facts import Facts

PURGE: Final = "maintenance.purge_results"
CLEANUP: Final = "celery.backend_cleanup"
_OURS: Final = "maintenance.results.backend:DatabaseBackend"
_DATABASE: Final = ("django-db", "django_celery_results.backends.database:DatabaseBackend")


@dataclass(frozen=True)
class Deleting:
    """Who deletes old results; with a cure where that is wrong."""

    fact: str
    cure: str = ""


def who_deletes(facts: Facts) -> Deleting | None:
    """Return who deletes old results from their tables, or why that is wrong; None where they are in none."""
    if not results.are_stored(facts.app):
        return None
    ours = [name for name, entry in facts.entries.items() if entry.get("task") == PURGE]
    theirs = [name for name, entry in facts.entries.items() if entry.get("task") == CLEANUP]
    replaced = ours and str(facts.conf.beat_scheduler).startswith("maintenance.beat")
    has_beat = bool(facts.conf.beat_schedule) or facts.has_app("django_celery_beat")
    if not theirs and not replaced and facts.conf.result_expires and has_beat:
        theirs = ["beat's own daily entry"]
    if ours and theirs:
        return Deleting(
            f"Old results are deleted by {ours[0]!r} and by {CLEANUP} ({theirs[0]}), in one long transaction.",
            'Set CELERY_BEAT_SCHEDULER = "maintenance.beat:Scheduler", and schedule only maintenance.purge_results.',
        )
    if not ours and not theirs:
        return Deleting(
            "Nobody deletes old results: their tables grow for ever.",
            "Schedule maintenance.purge_results (see maintenance.schedules.pack), or run it daily by other means.",
        )
    who = f"the schedule {ours[0]!r}" if ours else f"{CLEANUP} ({theirs[0]}), in one long transaction"
    return Deleting(f"Old results are deleted by {who}.")


@rule("results-deleted-once", WARNING, "results", check="maintenance.W005")
def results_deleted_once(facts: Facts) -> Iterator[Trouble]:
    """Tables without an end slow every query down; two who delete lock each other out.

    django-celery-results deletes in one transaction: 450,000 rows took 16 s, in which another writer failed. Beat
    sends that by itself every night. Source: django_celery_results.managers.delete_expired; measured.
    """
    found = who_deletes(facts)
    if found is not None and found.cure:
        yield Trouble(found.fact, found.cure)


@rule("results-nowhere", WARNING, "results")
def results_nowhere(facts: Facts) -> Iterator[Trouble]:
    """Nobody learns that a task failed, except from a worker's log.

    Without a result backend there is no list of failures, no retry and no statistics.
    Source: Celery, Configuration, result_backend.
    """
    if str(facts.conf.result_backend or "disabled").startswith("disabled"):
        yield Trouble("There is no result backend.", f"Set {facts.line('result_backend', _OURS)}.")


@rule("results-app-missing", ERROR, "results")
def results_app_missing(facts: Facts) -> Iterator[Trouble]:
    """Every task fails when it stores its result: the tables are not there.

    The backend is of an app that is not among INSTALLED_APPS. Source: django-celery-results, Getting started.
    """
    backend = str(facts.conf.result_backend or "")
    if backend in (*_DATABASE, _OURS) and not facts.has_app("django_celery_results"):
        cure = 'Add "django_celery_results" to INSTALLED_APPS, and run `manage.py migrate`.'
        yield Trouble(f"Results go to {backend}, whose app is not installed.", cure)


@rule("results-not-extended", WARNING, "results")
def results_not_extended(facts: Facts) -> Iterator[Trouble]:
    """A result says neither which task it is of nor with what arguments: it cannot be read or retried.

    Name, arguments, worker and queue are stored with result_extended only.
    Source: Celery, Configuration, result_extended.
    """
    if results.are_stored(facts.app) and not facts.conf.result_extended:
        yield Trouble("Results are stored without name and arguments.", f"Set {facts.line('result_extended', True)}.")


@rule("results-lossy", WARNING, "results")
def results_lossy(facts: Facts) -> Iterator[Trouble]:
    """retry_results refuses many of them: their arguments cannot be told any more.

    django-celery-results stores arguments as Python's repr, cut off where it is long. Ours stores what can be sent
    again. Source: django_celery_results.backends.database; maintenance.results.backend.
    """
    if str(facts.conf.result_backend) in _DATABASE:
        yield Trouble("Arguments are stored as their repr.", f"Set {facts.line('result_backend', _OURS)}.")


@rule("results-by-message", WARNING, "results")
def results_by_message(facts: Facts) -> Iterator[Trouble]:
    """Only the process that sent a task can read its result, once, and a restart loses all of them.

    The rpc backend sends results as messages to their caller. Source: Celery, RPC Result Backend.
    """
    if str(facts.conf.result_backend or "").startswith(("rpc", "amqp")):
        yield Trouble("Results are messages (rpc).", f"Set {facts.line('result_backend', _OURS)}.")


@rule("results-fill-redis", ERROR, "results")
def results_fill_redis(facts: Facts) -> Iterator[Trouble]:
    """Redis fills up, and then refuses to take tasks too.

    result_expires None keeps every result for ever, and nothing cleans a Redis. Source: Celery, Configuration,
    result_expires.
    """
    on_redis = str(facts.conf.result_backend or "").split(":")[0] in ("redis", "rediss", "valkey", "socket", "sentinel")
    if on_redis and not facts.conf.result_expires:
        yield Trouble("Results in Redis never expire.", f"Set {facts.line('result_expires', 86400)}.")


@rule("failures-unseen", WARNING, "results")
def failures_unseen(facts: Facts) -> Iterator[Trouble]:
    """A task that fails leaves no trace: the list of failures stays empty.

    task_ignore_result drops failures with the results, unless they are wanted nevertheless.
    Source: Celery, Configuration, task_store_errors_even_if_ignored.
    """
    if facts.conf.task_ignore_result and not facts.conf.task_store_errors_even_if_ignored:
        cure = f"Set {facts.line('task_store_errors_even_if_ignored', True)}."
        yield Trouble(f"{facts.name('task_ignore_result')} is on, for failures too.", cure)


@rule("starts-unseen", WARNING, "results")
def starts_unseen(facts: Facts) -> Iterator[Trouble]:
    """Nobody sees what runs at the moment, nor which run was lost.

    A result is written when its task begins only with task_track_started; without it a killed run leaves nothing.
    Source: Celery, Configuration, task_track_started.
    """
    if results.are_stored(facts.app) and not facts.conf.task_track_started:
        yield Trouble("Results do not tell that a task began.", f"Set {facts.line('task_track_started', True)}.")
