"""How the doors ask the checks: what the settings say, handed to them."""

from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from django.conf import settings
from django.db import connections

from maintenance.health import checkup
from maintenance.health.base import Check


def checks(app: Celery, *, wait: float, round_trip: bool = False) -> list[Check]:
    """Return the checks of this project; ``wait`` is how many seconds workers have to answer."""
    return checkup.checks(app, databases=connections, caches=settings.CACHES, wait=wait, round_trip=round_trip)


def secrets(app: Celery) -> list[str]:
    """Return the secrets that a client's error message could repeat."""
    urls: list[Any] = [*_all(app.conf.broker_url), *_all(app.conf.broker_read_url), *_all(app.conf.result_backend)]
    for cache in settings.CACHES.values():
        urls += _all(cache.get("LOCATION"))
    given = [str(database.get("PASSWORD") or "") for database in settings.DATABASES.values()]
    return [*given, *filter(None, map(_password, urls))]


def _all(value: Any) -> list[str]:
    if isinstance(value, list | tuple):
        return [str(each) for each in value]
    return str(value or "").split(";")


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""
