"""How the doors ask the checks: what the settings say, handed to them."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from django.apps import apps
from django.conf import settings
from django.db import connections

from maintenance import caches, conf, results
from maintenance.backups import create
from maintenance.health import checks as all_checks
from maintenance.health import checkup
from maintenance.health.base import Check
from maintenance.health.checkup import Stack
from maintenance.management import backups

TASK = "maintenance.backup"


def checks(app: Celery, *, wait: float = 0.5, round_trip: bool = False) -> list[Check]:
    """Return the checks of this project; ``wait`` is how many seconds workers have to answer."""
    return checkup.checks(app, stack=stack(app), health=conf.get().health, wait=wait, round_trip=round_trip)


def doctors(app: Celery, *, wait: float) -> list[Check]:
    """Return the checks that only doctor asks: they take longer than a probe or a page has."""
    given = conf.get().backups
    backed_up = given.databases if _makes_backups(app) else ()
    return [
        *(all_checks.Connections(app, alias, wait) for alias in connections),
        *(all_checks.Programs(_program, alias) for alias in backed_up if alias in connections),
        all_checks.Registered(app, wait),
    ]


def _program(alias: str) -> object:
    return create.plan(alias=alias, **backups.how())


def stack(app: Celery) -> Stack:
    """Return what the settings say of this project's parts. Raises ConfigurationError."""
    given = conf.get()
    makes_backups = _makes_backups(app)
    return Stack(
        databases=tuple(connections),
        caches=settings.CACHES,
        residents=lambda: caches.residents(app, settings=settings),
        has_beat=apps.is_installed("django_celery_beat"),
        lease_ttl=given.beat.lease_ttl,
        extras=given.schedules,
        kept=given.results,
        expires=getattr(settings, "CELERY_RESULT_EXPIRES", results.expires_of(app)),
        destinations=backups.destinations() if makes_backups else (),
        backed_up=given.backups.databases,
    )


def secrets(app: Celery) -> list[str]:
    """Return the secrets that a client's error message could repeat."""
    urls: list[str] = [*_all(app.conf.broker_url), *_all(app.conf.broker_read_url), *_all(app.conf.result_backend)]
    for cache in settings.CACHES.values():
        urls += _all(cache.get("LOCATION"))
    given = [str(database.get("PASSWORD") or "") for database in settings.DATABASES.values()]
    return [*given, *filter(None, map(_password, urls)), conf.get().health.token or ""]


def _makes_backups(app: Celery) -> bool:
    """Return whether this project makes backups with this app: it says where to, or schedules them."""
    configured = "BACKUPS" in getattr(settings, "MAINTENANCE", {}) or "backups" in settings.STORAGES
    entries: Mapping[str, Any] = app.conf.beat_schedule
    return configured or any(isinstance(each, Mapping) and each.get("task") == TASK for each in entries.values())


def _all(value: Any) -> list[str]:
    if isinstance(value, list | tuple):
        return [str(each) for each in value]
    return str(value or "").split(";")


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""
