"""How the doors plan backups by the settings."""

import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.files.storage import FileSystemStorage, storages
from django.utils import timezone

from maintenance import conf, process
from maintenance.backups import create, destination
from maintenance.backups.destination import Destination
from maintenance.backups.drill import Means
from maintenance.backups.errors import DatabaseMissing, NoRecipients, UnknownStorage
from maintenance.backups.retention import Rules

# Renewed while the backup runs: after a crash the next one waits at most so long.
LOCK_LIVES_FOR: Final = timedelta(minutes=5)
# The rules that keep so many of a kind: --keep-daily, KEEP_DAILY.
UNITS: Final = ("last", "hourly", "daily", "weekly", "monthly", "yearly")


def destinations(only: Sequence[str] = ()) -> tuple[Destination, ...]:
    """Return the destinations of BACKUPS.DESTINATIONS, or those of them in ``only``. Raises UnknownDestination."""
    given = conf.get().backups
    return destination.choose_all(
        aliases=given.destinations,
        only=only,
        configured=settings.STORAGES,
        root=given.root,
        staging=given.staging,
    )


def how(
    *,
    to: Sequence[str] = (),
    encrypt: bool | None = None,
    exclude: Sequence[str] | None = None,
    max_seconds: timedelta | None = None,
    tag: str = "",
) -> dict[str, Any]:
    """Return the fields of create.Plan that settings and flags decide. Raises UnknownDestination, NoRecipients."""
    given = conf.get().backups
    if encrypt and not given.recipients:
        raise NoRecipients()
    module = settings.SETTINGS_MODULE or process.environment().get("DJANGO_SETTINGS_MODULE", "")
    return {
        "destinations": destinations(to),
        "rules": rules(given),
        "recipients": () if encrypt is False else given.recipients,
        "exclude": tuple(given.exclude_table_data if exclude is None else exclude),
        "tag": tag,
        "origin": create.Origin(project=module.partition(".")[0], host=socket.gethostname()),
        "at_most": max_seconds or given.max_seconds,
    }


def media_plan(name: str, *, root: str | None = None, **how: Any) -> create.Plan:
    """Return how the storage ``name`` of STORAGES, or the folder ``root``, is backed up; ``default`` is called media.

    Raises UnknownStorage, MediaMissing.
    """
    local = [Path(one.storage.location).resolve() for one in how["destinations"] if one.is_local]
    if root is not None:
        return create.plan_media(alias=name, storage=FileSystemStorage(location=root), skip=local, **how)
    if name not in settings.STORAGES:
        raise UnknownStorage(name=name, known=", ".join(map(repr, settings.STORAGES)))
    alias = "media" if name == "default" else name
    return create.plan_media(alias=alias, storage=storages[name], skip=local, **how)


def means(level: str) -> Means:
    """Return what the settings give to prove backups with."""
    given = conf.get().backups
    return Means(level, identity=given.identity, using=given.scratch or "")


def rules(given: conf.Backups, flags: Mapping[str, Any] | None = None) -> Rules:
    """Return the settings' rules; or those of the flags when there is one, with the settings' minimum and size."""
    ours = Rules(
        **{name: getattr(given, f"keep_{name}") for name in UNITS},
        within=given.keep_within,
        tags=given.keep_tags,
        minimum=given.minimum,
        max_size=given.max_size,
    )
    flags = flags or {}
    theirs = Rules(
        **{name: flags.get(f"keep_{name}") for name in UNITS},
        within=flags.get("keep_within"),
        tags=tuple(flags.get("keep_tag") or ()),
        minimum=given.minimum,
        max_size=flags.get("max_size") or given.max_size,
    )
    return theirs if theirs.select else replace(ours, max_size=theirs.max_size)


def new_holder() -> str:
    """Return a new name for a holder of locks."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def safety(alias: str, holder: str) -> str:
    """Make the backup that a restore begins with, and return its id; nothing where there is no database yet."""
    try:
        plan = create.plan(alias=alias, **{**how(), "rules": Rules(), "tag": "before-restore"})
    except DatabaseMissing:
        return ""
    return create.create(plan, holder=holder, ttl=LOCK_LIVES_FOR, clock=timezone.now).manifest.id
