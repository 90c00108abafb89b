"""Which checks a project needs: those of what it has."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from celery import Celery

from .. import project, results
from ..backups.destination import Destination
from ..caches import Resident
from ..conf import Health, Results
from . import checks as all_checks
from .base import Check


@dataclass(frozen=True)
class Stack:
    """What a project consists of, as far as the checks must know it."""

    databases: Sequence[str] = ("default",)
    caches: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    residents: Callable[[], Sequence[Resident]] = tuple
    """Who lives in Redis beside the caches."""
    has_beat: bool = False
    lease_ttl: timedelta = timedelta(seconds=15)
    extras: Mapping[str, Any] = field(default_factory=dict)
    """MAINTENANCE["SCHEDULES"]."""
    kept: Results = Results()
    """MAINTENANCE["RESULTS"]."""
    expires: object = results.UNDECLARED
    destinations: Sequence[Destination] = ()
    """Of its backups; none where it makes none."""
    backed_up: Sequence[str] = ()
    """The databases that are."""


def checks(app: Celery, *, stack: Stack, health: Health, wait: float = 0.5, round_trip: bool = False) -> list[Check]:
    """Return every check of a project; ``wait`` is how many seconds workers have to answer."""
    found: list[Check] = [
        *services(app, stack=stack),
        all_checks.Workers(app, wait),
        all_checks.Queues(app, wait),
        *([all_checks.RoundTrip(app, wait)] if round_trip else []),
        all_checks.QueueAge(app, oldest=health.queue_age, most=health.queue_depth),
    ]
    if project.on_redis(app):
        found += [all_checks.Policy(app), all_checks.Visibility(app)]
        found += [all_checks.Shared(stack.caches, stack.residents)]
    if stack.has_beat:
        found += [all_checks.Beat(stack.lease_ttl), all_checks.Late(app), all_checks.Drift(app, stack.extras)]
    if results.are_stored(app):
        found += [all_checks.Backlog(stack.kept, stack.expires)]
        found += [all_checks.Failures(health.failure_rate, health.failure_minimum)]
        found += [all_checks.Runs()] if stack.has_beat else []
    return [*found, *_backups(stack, health), *_machine(stack, health)]


def services(app: Celery, *, stack: Stack) -> list[Check]:
    """Return the checks of the services that everything needs."""
    return [
        all_checks.Broker(app),
        *(all_checks.Database(alias) for alias in stack.databases),
        all_checks.Migrations(),
        *(all_checks.Cache(alias) for alias in stack.caches),
    ]


def essential(app: Celery) -> list[Check]:
    """Return the checks without which nothing can be served."""
    return [all_checks.Database(), all_checks.Migrations(), all_checks.Broker(app)]


def _backups(stack: Stack, health: Health) -> Iterable[Check]:
    several = len(stack.destinations) > 1
    return [
        all_checks.Backups(
            destination,
            databases=tuple(stack.backed_up),
            age=health.backup_age,
            shrink_percent=health.backup_shrink,
            verified_age=health.verified_age,
            label=destination.alias if several else "",
        )
        for destination in stack.destinations
    ]


def _machine(stack: Stack, health: Health) -> Iterable[Check]:
    local = [destination.staging for destination in stack.destinations if destination.is_local]
    folders = tuple(dict.fromkeys((*health.disks, *local)))
    return [all_checks.Disk(folders, health.disk_free), all_checks.Clock(health.clock_skew)]
