"""What the commands and tasks of backups take from the settings."""

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils import timezone

from maintenance import conf, units
from maintenance.backups import create, destination
from maintenance.backups.destination import Destination
from maintenance.backups.retention import Rules

from .base import value

# Renewed while a backup runs: after a crash the next one waits at most so long.
LOCK_LIVES_FOR: Final = timedelta(minutes=5)
_COUNTS: Final = {
    "last": "the newest N",
    "hourly": "the newest of each of N hours that have one",
    "daily": "the newest of each of N days that have one",
    "weekly": "the newest of each of N weeks that have one",
    "monthly": "the newest of each of N months that have one",
    "yearly": "the newest of each of N years that have one",
}


def chosen(given: conf.Backups) -> Destination:
    """Return where backups are."""
    return destination.choose(alias=given.storage, configured=settings.STORAGES, root=given.root)


def holder() -> str:
    """Return a new name for a holder of locks."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def add_rules(parser: CommandParser) -> None:
    """Add the flags of retention."""
    add = parser.add_argument
    for name, what in _COUNTS.items():
        add(f"--keep-{name}", type=value(units.whole), metavar="N", help=f"keep {what}")
    add(
        "--keep-within",
        type=value(units.duration),
        metavar="TIME",
        help="keep what is not older than the newest by so much",
    )
    add("--keep-tag", action="append", default=[], metavar="TAG", help="keep what was made with this tag")
    add("--max-size", type=value(units.size), metavar="SIZE", help="of each database; the oldest go (BACKUPS.MAX_SIZE)")


def rules(given: conf.Backups, options: Mapping[str, Any] | None = None) -> Rules:
    """Return the settings' rules; or those of the flags when there is one, with the settings' minimum and size."""
    ours = Rules(
        **{name: getattr(given, f"keep_{name}") for name in _COUNTS},
        within=given.keep_within,
        tags=given.keep_tags,
        minimum=given.minimum,
        max_size=given.max_size,
    )
    options = options or {}
    flags = Rules(
        **{name: options.get(f"keep_{name}") for name in _COUNTS},
        within=options.get("keep_within"),
        tags=tuple(options.get("keep_tag") or ()),
        minimum=given.minimum,
        max_size=options.get("max_size") or given.max_size,
    )
    return flags if flags.select else replace(ours, max_size=flags.max_size)


def safety(alias: str, where: Destination, holder: str) -> str:
    """Make the backup that a restore begins with, and return its id."""
    plan = create.plan(alias=alias, destination=where, keep_last=None)
    return create.create(plan, holder=holder, ttl=LOCK_LIVES_FOR, clock=timezone.now).manifest.id
