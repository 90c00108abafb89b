"""The maintenance verbs as Celery tasks: time limit, overlap lock, log lines, JSON-able result.

A task holds the lock of its name as its own id: the redelivery of a killed run takes it over, and a message that comes
twice is dropped. They name no queue: routing is the project's.
"""

from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from celery import Task, shared_task
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS
from django.db.utils import OperationalError
from django.utils import timezone

from . import caches as caches_verb
from . import conf, files, lease, monitoring, project, results, runs, sessions, space
from .backups import catalog, create, drill, prune, several, shelves
from .batches import Pace
from .errors import AlreadyDone, LockHeld, Unavailable
from .management import alerts, emptied
from .management import backups as planning
from .results import Archive, resend

Answer = dict[str, Any]
# How long a lock outlives its task's time limit.
_MARGIN: Final = timedelta(seconds=60)


class Alone(Task):  # type: ignore[type-arg] # generic in its stubs only
    """A task that one run at a time does, under the lock of its name; another run answers at once who holds it."""

    abstract = True
    acks_late = True
    # A run whose process was killed (out of memory, say) is tried again max_retries times, not for ever.
    retry_on_worker_lost = True
    reject_on_worker_lost = True  # where that retry cannot be sent
    tells_its_start = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work as the holder of the lock, with a line in the log before and after it."""
        # Task.__call__ begins a request of its own, which would hide the id of the worker's.
        work = super().__call__ if self.request.called_directly else self.run
        log = runs.Log(self.name, _holder(self), schedule=monitoring.schedule_of(self.request))
        lock = lease.held_once(
            self.name,
            holder=log.id,
            ttl=_ttl(self),
            takeover=_redelivered(self),
            reason=_reason(self.request),
        )
        try:
            with lock:
                log.started()
                monitoring.tell(self.request, monitoring.START)
                result = work(*args, **kwargs)
        except (LockHeld, AlreadyDone) as refused:
            answer = _skipped(refused)
            log.skipped(answer)
            return answer
        except BaseException as error:
            log.ended(error)
            raise
        log.done(result)
        return result


class Repeatable(Alone):
    """A task that may stop anywhere and begin anew: what was unavailable is tried again after 1, 2 and 4 minutes."""

    abstract = True
    autoretry_for = (OperationalError, Unavailable)
    max_retries = 3
    retry_backoff = 60
    # With jitter it could come back before this run has given its lock up.
    retry_jitter = False


class Asked(Task):  # type: ignore[type-arg] # generic in its stubs only
    """A task that a person asked for, about one object: no harm when it runs twice; a lock is waited for."""

    abstract = True
    acks_late = True
    # A run whose process was killed (out of memory, say) is tried again max_retries times, not for ever.
    retry_on_worker_lost = True
    reject_on_worker_lost = True  # where that retry cannot be sent
    autoretry_for = (LockHeld, OperationalError)
    max_retries = 5
    retry_backoff = 5
    retry_jitter = False


def _skipped(refused: LockHeld | AlreadyDone) -> monitoring.Skipped:
    if isinstance(refused, AlreadyDone):
        return monitoring.Skipped(skipped=refused.message, finished=refused.facts["finished"])
    holding = lease.find(str(refused.facts["name"]))
    return monitoring.Skipped(
        skipped=refused.message,
        holder=refused.facts["holder"],
        since=refused.facts["since"],
        reason=holding.reason if holding else "",
    )


def _reason(request: Any) -> str:
    schedule = monitoring.schedule_of(request)
    sent = f"schedule {schedule!r}" if schedule else "sent by hand"
    return f"{sent}, on {request.hostname}"[:255] if request.hostname else sent[:255]


@shared_task(name="maintenance.clear_cache", bind=True, base=Repeatable, soft_time_limit=240, time_limit=300)
def clear_cache(self: "Task[Any, Any]", expired: bool = False) -> Answer:
    """Clear the caches of CACHES.CLEAR, where they share their Redis database only their own keys.

    With ``expired``, remove from every cache only what has expired.
    """
    if expired:
        culled = caches_verb.cull(settings.CACHES, configured=settings.CACHES, now=timezone.now())
        return {"caches": [asdict(each) for each in culled]}
    steps = caches_verb.plan(
        aliases=conf.get().caches.clear,
        configured=settings.CACHES,
        residents=caches_verb.residents(self.app, settings=settings),
        keys_where_shared=True,
    )
    return {"caches": [asdict(step) for step in caches_verb.clear(steps)]}


@shared_task(name="maintenance.backup", bind=True, base=Alone, soft_time_limit=45 * 60, time_limit=50 * 60)
def backup(self: "Task[Any, Any]") -> Answer:
    """Back up the databases of BACKUPS.DATABASES, and remove what exceeds BACKUPS.KEEP_LAST of each."""
    how, holder, ttl = planning.how(), _holder(self), _ttl(self)
    made = several.each(
        conf.get().backups.databases,
        lambda alias: create.plan(alias=alias, **how),
        lambda plan: create.create(plan, holder=holder, ttl=ttl, clock=timezone.now),
    )
    return {"backups": [one.facts() for one in made]}


@shared_task(name="maintenance.backup_media", bind=True, base=Alone, soft_time_limit=45 * 60, time_limit=50 * 60)
def backup_media(self: "Task[Any, Any]") -> Answer:
    """Back up the files of the storages in BACKUPS.MEDIA, and remove what the rules of BACKUPS do not keep."""
    how, holder, ttl = {**planning.how(), "exclude": ()}, _holder(self), _ttl(self)
    made = several.each(
        conf.get().backups.media,
        lambda name: planning.media_plan(name, **how),
        lambda plan: create.create(plan, holder=holder, ttl=ttl, clock=timezone.now),
    )
    return {"backups": [one.facts() for one in made]}


@shared_task(name="maintenance.verify_backup", bind=True, base=Alone, soft_time_limit=45 * 60, time_limit=50 * 60)
def verify_backup(self: "Task[Any, Any]") -> Answer:
    """Restore drill: restore the newest backup of each of BACKUPS.DATABASES, from each destination, and compare it.

    A database without a backup fails it, as a damaged backup does.
    """
    means, aliases = planning.means("restore"), conf.get().backups.databases
    alone = [shelves.look([one]) for one in planning.destinations()]
    newest = [shelves.find(shelf, catalog.LATEST, alias=alias)[0] for shelf in alone for alias in aliases]
    return {"backups": [drill.prove(place, means, clock=timezone.now).facts() for place in newest]}


@shared_task(name="maintenance.prune_backups", bind=True, base=Alone, soft_time_limit=10 * 60, time_limit=15 * 60)
def prune_backups(self: "Task[Any, Any]") -> Answer:
    """Remove the backups that no rule of BACKUPS keeps, from each destination."""
    rules = planning.rules(conf.get().backups)
    plans = [prune.plan(shelf, rules=rules) for shelf in shelves.look(planning.destinations())]
    return {"pruned": [asdict(prune.apply(plan)) for plan in plans]}


@shared_task(name="maintenance.purge_results", bind=True, base=Repeatable, soft_time_limit=25 * 60, time_limit=30 * 60)
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


@shared_task(name="maintenance.clear_sessions", bind=True, base=Repeatable, soft_time_limit=25 * 60, time_limit=30 * 60)
def clear_sessions(self: "Task[Any, Any]") -> Answer:
    """Remove expired sessions, for 20 minutes at most: what is left then waits for the next run."""
    engine = settings.SESSION_ENGINE
    pace = Pace(size=sessions.BATCH_SIZE, rest=sessions.usual_rest(engine), seconds=20 * 60)
    return asdict(sessions.clear(engine=engine, before=timezone.now(), pace=pace))


@shared_task(name="maintenance.clear_files", bind=True, base=Repeatable, soft_time_limit=25 * 60, time_limit=30 * 60)
def clear_files(self: "Task[Any, Any]", root: str | None = None) -> Answer:
    """Remove old files below the roots of FILES.ROOTS that have an OLDER_THAN, or below one of them."""
    sweeps = files.plan(roots=conf.get().files.roots, names=[root] if root else None, now=timezone.now())
    swept = [files.clear(sweep) for sweep in sweeps]
    files.complain(swept)
    return {"roots": [{**asdict(each), "before": each.before.isoformat()} for each in swept]}


@shared_task(name="maintenance.switch_schedule", bind=True, base=Asked, soft_time_limit=60, time_limit=90)
def switch_schedule(self: "Task[Any, Any]", name: str, on: bool) -> Answer:
    """Enable or disable a schedule, for the ops page."""
    from .schedules import switch

    holder, now = _holder(self), timezone.now()
    return {"enabled": on, "changed": switch.switch(name, on=on, holder=holder, now=now, using=DEFAULT_DB_ALIAS)}


@shared_task(name="maintenance.reset_schedule", bind=True, base=Asked, soft_time_limit=60, time_limit=90)
def reset_schedule(self: "Task[Any, Any]", name: str) -> Answer:
    """Forget the last run of a schedule, for the ops page."""
    from .schedules import reset

    resets = reset.plan(only=[name], now=timezone.now(), using=DEFAULT_DB_ALIAS)
    return {"reset": reset.apply(resets, holder=_holder(self), using=DEFAULT_DB_ALIAS, now=timezone.now())}


@shared_task(name="maintenance.verify_one_backup", bind=True, base=Asked, soft_time_limit=45 * 60, time_limit=50 * 60)
def verify_one_backup(self: "Task[Any, Any]", id: str) -> Answer:
    """Restore drill of one backup, from each destination that holds it, for the ops page."""
    means, found = planning.means("restore"), shelves.find(shelves.look(planning.destinations()), id, alias="")
    with lease.held(f"verify_backup {id}", holder=_holder(self), ttl=_ttl(self), reason=_reason(self.request)):
        return {"backups": [drill.prove(place, means, clock=timezone.now).facts() for place in found]}


@shared_task(name="maintenance.retry_result", bind=True, base=Asked, soft_time_limit=60, time_limit=90)
def retry_result(self: "Task[Any, Any]", id: str) -> Answer:
    """Send a failed task again, for the ops page: at most once, however often it is asked for."""
    plan = resend.plan(resend.by_id([id]), app=self.app)
    return {"sent": [asdict(each) for each in resend.send(plan, app=self.app, tell=lambda each: None)]}


@shared_task(name="maintenance.vacuum", bind=True, base=Repeatable, soft_time_limit=45 * 60, time_limit=50 * 60)
def vacuum(self: "Task[Any, Any]", database: str = DEFAULT_DB_ALIAS) -> Answer:
    """Give the space of deleted rows back. On SQLite nobody can write meanwhile, unless auto_vacuum is incremental."""
    return space.vacuum(emptied.tables(database), using=database).facts()


@shared_task(name="maintenance.monitor", bind=True, base=Alone, soft_time_limit=100, time_limit=120)
def monitor(self: "Task[Any, Any]") -> Answer:
    """Ask every check, and tell ADMINS and webhooks what changed since the last look."""
    told = alerts.tell(self.app, now=timezone.now(), in_worker=not self.request.called_directly)
    states = Counter(finding.state for finding in told.findings)
    return {"states": dict(states), "changed": list(told.changed), "sent": told.sent, "waiting": told.waiting}


def _holder(task: "Task[Any, Any]") -> str:
    return task.request.id or f"called directly {uuid4()}"


def _redelivered(task: "Task[Any, Any]") -> bool:
    """Return whether an earlier run of this id, if there is one, is dead: it is tried again, or nobody can tell."""
    again = task.request.retries or (task.request.delivery_info or {}).get("redelivered")
    return bool(again) or not project.tells_redelivery(task.app)


def _ttl(task: "Task[Any, Any]") -> timedelta:
    """Return the time limit of this run (its message's, else the task's own) and a margin."""
    hard, _soft = task.request.timelimit or (None, None)
    return timedelta(seconds=hard or task.time_limit or 3600) + _MARGIN
