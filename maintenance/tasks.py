"""The maintenance verbs as Celery tasks: time limit, overlap lock, JSON-able result.

A task holds the lock of its name as its own id, so that the redelivery of a killed run takes it over. They name no
queue: routing is the project's.
"""

from contextlib import nullcontext
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from celery import Task, shared_task
from django.conf import settings
from django.utils import timezone

from . import caches as caches_verb
from . import conf, lease, results, sessions
from .backups import create, destination
from .batches import Pace
from .errors import LockHeld
from .results import Archive

Answer = dict[str, Any]
# How long a lock outlives its task's time limit.
_MARGIN: Final = timedelta(seconds=60)


class Alone(Task):  # type: ignore[type-arg] # generic in its stubs only
    """A task that one run at a time does, under the lock of its name; another run answers at once who holds it."""

    abstract = True
    acks_late = True
    reject_on_worker_lost = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work as the holder of the lock."""
        # Task.__call__ begins a request of its own, which would hide the id of the worker's.
        work = super().__call__ if self.request.called_directly else self.run
        try:
            with lease.held(self.name, holder=_holder(self), ttl=_ttl(self), reason=f"task {self.name}"):
                return work(*args, **kwargs)
        except LockHeld as held:
            return {"skipped": held.message, "holder": held.facts["holder"], "since": held.facts["since"]}


@shared_task(name="maintenance.clear_cache", bind=True, base=Alone, soft_time_limit=240, time_limit=300)
def clear_cache(self: "Task[Any, Any]") -> Answer:
    """Clear the caches of CACHES.CLEAR; one that shares its Redis database with the queue, by its KEY_PREFIX."""
    steps = caches_verb.plan(
        aliases=conf.get().caches.clear,
        configured=settings.CACHES,
        tenants=caches_verb.tenants(self.app),
        by_prefix=True,
    )
    return {"caches": [asdict(step) for step in caches_verb.clear(steps)]}


@shared_task(name="maintenance.backup", bind=True, base=Alone, soft_time_limit=45 * 60, time_limit=50 * 60)
def backup(self: "Task[Any, Any]") -> Answer:
    """Back up the databases of BACKUPS.DATABASES, and remove what exceeds BACKUPS.KEEP_LAST of each."""
    given = conf.get().backups
    where = destination.choose(alias=given.storage, configured=settings.STORAGES, root=given.root)
    plans = [create.plan(alias=alias, destination=where, keep_last=given.keep_last) for alias in given.databases]
    holder, ttl = _holder(self), _ttl(self)
    made = [create.create(plan, holder=holder, ttl=ttl, clock=timezone.now) for plan in plans]
    return {"destination": where.label, "backups": [one.facts() for one in made]}


@shared_task(name="maintenance.purge_results", bind=True, base=Alone, soft_time_limit=25 * 60, time_limit=30 * 60)
def purge_results(self: "Task[Any, Any]") -> Answer:
    """Delete the results that are older than RESULTS.KEEP_FOR, else CELERY_RESULT_EXPIRES, else 7 days."""
    given, now = conf.get().results, timezone.now()
    expires = getattr(settings, "CELERY_RESULT_EXPIRES", results.expires_of(self.app))
    rules = results.plan(now=now, given=given, expires=expires)
    pace = Pace(size=given.batch_size, rest=results.default_rest(), seconds=given.max_seconds.total_seconds())
    with Archive(given.archive, now=now) if given.archive else nullcontext() as archive:
        purged = results.purge(rules, pace=pace, archive=archive)
    return {
        "before": rules.before and rules.before.isoformat(),
        "kept_by": rules.keeping.source,
        "archive": str(archive.path) if archive and archive.rows else None,
        **purged.facts(),
    }


@shared_task(name="maintenance.clear_sessions", bind=True, base=Alone, soft_time_limit=25 * 60, time_limit=30 * 60)
def clear_sessions(self: "Task[Any, Any]") -> Answer:
    """Remove expired sessions."""
    return asdict(sessions.clear(engine=settings.SESSION_ENGINE, before=timezone.now()))


def _holder(task: "Task[Any, Any]") -> str:
    return task.request.id or f"called directly {uuid4()}"


def _ttl(task: "Task[Any, Any]") -> timedelta:
    """Return the time limit of this run (its message's, else the task's own) and a margin."""
    hard, _soft = task.request.timelimit or (None, None)
    return timedelta(seconds=hard or task.time_limit or 3600) + _MARGIN
