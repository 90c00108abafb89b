"""Rules of beat and schedules: who sends them, in which zone, and what piles up."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from .base import ERROR, WARNING, Trouble, rule
from .facts import Facts

_SCHEDULER: Final = "maintenance.beat:Scheduler"
_OFTEN: Final = timedelta(hours=1)


@rule("zones-differ", WARNING, "beat")
def zones_differ(facts: Facts) -> Iterator[Trouble]:
    """Crontabs run at other hours than the people who wrote them think.

    Celery reads crontabs in its own zone, Django shows times in TIME_ZONE. Source: Celery, Periodic Tasks,
    "Time Zones".
    """
    ours, theirs = facts.conf.timezone, facts.django("TIME_ZONE")
    if ours and theirs and str(ours) != str(theirs):
        fact = f"{facts.name('timezone')} is {ours}, and TIME_ZONE {theirs}."
        yield Trouble(fact, f"Set {facts.name('timezone')} = TIME_ZONE, then `manage.py reset_schedules`.")


@rule("naive-times", WARNING, "beat")
def naive_times(facts: Facts) -> Iterator[Trouble]:
    """Twice a year an hour is missing or doubled: schedules run twice or not at all, and results are an hour off.

    Without USE_TZ the database holds local times, which are not unique. Source: Django, Time zones.
    """
    if not facts.django("USE_TZ", True):
        yield Trouble("USE_TZ is off.", "Set USE_TZ = True.")


@rule("utc-off", WARNING, "beat")
def utc_off(facts: Facts) -> Iterator[Trouble]:
    """ETAs and expiry are local times: wrong on every host in another zone, and twice a year on all.

    Messages carry UTC by default. Source: Celery, Configuration, enable_utc.
    """
    if not facts.conf.enable_utc:
        yield Trouble(f"{facts.name('enable_utc')} is off.", f"Set {facts.line('enable_utc', True)}.")


@rule("two-beats-send-twice", WARNING, "beat")
def two_beats_send_twice(facts: Facts) -> Iterator[Trouble]:
    """Wherever the old beat and the new one overlap, which is every deploy, everything is sent twice.

    Neither Celery's schedulers nor django-celery-beat's have a lock. run_beat uses ours whatever the setting says;
    `celery beat` reads the setting. Source: Celery, Periodic Tasks, "Starting the Scheduler"; measured.
    """
    scheduler = str(facts.conf.beat_scheduler)
    by_us = any(line.runs("run_beat") for line in facts.lines)
    if facts.entries and not scheduler.startswith("maintenance.beat") and not by_us:
        yield Trouble(f"Schedules are sent by {scheduler}.", f"Set {facts.line('beat_scheduler', _SCHEDULER)}.")


@rule("beat-app-missing", ERROR, "beat")
def beat_app_missing(facts: Facts) -> Iterator[Trouble]:
    """beat ends at its start: its tables are not there.

    The scheduler keeps schedules in django-celery-beat's tables. Source: django-celery-beat, Installation.
    """
    scheduler = str(facts.conf.beat_scheduler)
    if scheduler.startswith(("maintenance.beat", "django_celery_beat")) and not facts.has_app("django_celery_beat"):
        cure = 'Add "django_celery_beat" to INSTALLED_APPS, and run `manage.py migrate`.'
        yield Trouble(f"The scheduler is {scheduler}, whose app is not installed.", cure)


@rule("schedules-pile-up", WARNING, "beat")
def schedules_pile_up(facts: Facts) -> Iterator[Trouble]:
    """After an hour without workers they do the same work dozens of times in a row.

    beat sends whether anybody listens or not. A message that expires before the next one is due keeps one run
    waiting at most. Source: Celery, Calling Tasks, "Expiration"; django-celery-beat loses it, sync_schedules does not.
    """
    for name, entry in facts.entries.items():
        every, options = _every(entry.get("schedule")), entry.get("options") or {}
        task = facts.tasks.get(str(entry.get("task")))
        expires = options.get("expires") or getattr(task, "expires", None)
        if every is not None and every < _OFTEN and not expires:
            seconds = max(1, int(every.total_seconds()))
            fact = f"The schedule {name!r} is sent every {seconds}s, and never expires."
            yield Trouble(fact, f'Add "options": {{"expires": {seconds}}} to it.')


@rule("schedule-always-due", ERROR, "beat")
def schedule_always_due(facts: Facts) -> Iterator[Trouble]:
    """beat sends it without a pause, as fast as it can, and nothing else in time.

    django-celery-beat stores whole units: half a second becomes 0, which is always due.
    Source: django_celery_beat.models.IntervalSchedule.
    """
    by_them = "django_celery_beat" in str(facts.conf.beat_scheduler)
    for name, entry in facts.entries.items():
        every = _every(entry.get("schedule"))
        if by_them and every is not None and every < timedelta(seconds=1):
            yield Trouble(
                f"The schedule {name!r} is due every {every.total_seconds():g}s.", "Give it a second or more."
            )


@rule("maintenance-not-scheduled", WARNING, "beat")
def maintenance_not_scheduled(facts: Facts) -> Iterator[Trouble]:
    """Old results, sessions and files stay until the disk is full.

    Nothing in Django or Celery removes them by itself. Source: Django, clearsessions; docs/runbook.md.
    """
    if facts.conf.beat_schedule and not _maintains(facts):
        cure = "Add `**MAINTENANCE_SCHEDULE` (maintenance.schedules) to CELERY_BEAT_SCHEDULE."
        yield Trouble("No maintenance task is scheduled.", cure)


def _maintains(facts: Facts) -> bool:
    return any(str(entry.get("task")).startswith("maintenance.") for entry in facts.entries.values())


def _every(schedule: Any) -> timedelta | None:
    """Return how often a plain interval runs, or a crontab that says */N minutes or every minute; None for others."""
    if isinstance(schedule, bool):
        return None
    if isinstance(schedule, int | float):
        return timedelta(seconds=schedule)
    if isinstance(schedule, timedelta):
        return schedule
    every = getattr(schedule, "run_every", None)
    if isinstance(every, timedelta):
        return every
    minutes = getattr(schedule, "minute", None)
    if isinstance(minutes, set) and len(minutes) > 1:
        return timedelta(minutes=60 / len(minutes))
    return None
