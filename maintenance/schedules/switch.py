"""A schedule enabled or disabled by a person: sync_schedules sees it as their edit, and leaves it so."""

from datetime import datetime

from django.db import transaction
from django_celery_beat.models import PeriodicTask

from .. import lease
from . import apply as writing
from . import listing, sync
from .moments import aware


def known(name: str, *, using: str) -> int | None:
    """Return the key of the schedule's row; None where there is none."""
    key: int | None = PeriodicTask.objects.using(using).filter(name=name).values_list("pk", flat=True).first()
    return key


def switch(name: str, *, on: bool, holder: str, now: datetime, using: str) -> bool:
    """Enable or disable a schedule and tell beat; return whether that changed anything. Raises LockHeld.

    What was due while it was disabled is not caught up: where something was, it counts anew from ``now``.
    """
    lock = lease.held(sync.LOCK, holder=holder, ttl=sync.LOCK_LIVES_FOR, reason="ops page", using=using)
    with lock, transaction.atomic(using=using):
        rows = PeriodicTask.objects.using(using).filter(name=name)
        changed = bool(rows.exclude(enabled=on).update(enabled=on))
        if changed and on:
            listed = listing.schedules(now=now, using=using, names=[name])
            if any(each.next_runs and each.next_runs[0] < aware(now) for each in listed):
                rows.filter(clocked__isnull=True).update(last_run_at=None, date_changed=now)
        if changed:
            writing.mark_changed(using=using, now=now)
    return changed
