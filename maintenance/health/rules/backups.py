"""Rules of backups: whether there are any, where they lie, and who can read them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from django.core.files.storage import FileSystemStorage
from django.utils.module_loading import import_string

from .base import ERROR, WARNING, Trouble, rule
from .facts import Facts

_KEEP: Final = ("last", "hourly", "daily", "weekly", "monthly", "yearly", "within")
_PACK: Final = "Add `**MAINTENANCE_SCHEDULE` (maintenance.schedules) to CELERY_BEAT_SCHEDULE"


@rule("backups-not-scheduled", ERROR, "backups", deploy=True)
def backups_not_scheduled(facts: Facts) -> Iterator[Trouble]:
    """After a lost disk or a bad DELETE there is nothing to go back to.

    A backup that somebody has to think of is not made. A backup that your host makes counts as well: then silence
    this rule. Source: docs/runbook.md.
    """
    if not facts.schedules("maintenance.backup"):
        yield Trouble("No schedule makes backups.", f"{_PACK}.")


@rule("backups-never-verified", WARNING, "backups", deploy=True)
def backups_never_verified(facts: Facts) -> Iterator[Trouble]:
    """That a backup cannot be restored is found out on the day it is needed.

    Only a restore proves a backup. maintenance.verify_backup restores the newest into a scratch database and counts
    its rows. Source: docs/backup-format.md.
    """
    if facts.schedules("maintenance.backup") and not facts.schedules("maintenance.verify_backup"):
        entry = '"verify": {"task": "maintenance.verify_backup", "schedule": crontab(minute="0", hour="5")}'
        yield Trouble("No schedule verifies backups.", f"Add {entry} to CELERY_BEAT_SCHEDULE.")


@rule("backups-beside-data", WARNING, "backups", deploy=True)
def backups_beside_data(facts: Facts) -> Iterator[Trouble]:
    """What destroys the machine, or whoever breaks into it, takes the backups too.

    Every destination is a folder of this machine. Three copies, two media, one elsewhere is the old rule.
    Source: CISA, Data Backup Options (3-2-1).
    """
    if facts.schedules("maintenance.backup") and all(local is not None for _, local in _destinations(facts)):
        cure = (
            'Add a remote STORAGES["offsite"], and set MAINTENANCE["BACKUPS"]["DESTINATIONS"] = ["backups", "offsite"].'
        )
        yield Trouble("Backups are on this machine only.", cure)


@rule("backups-unencrypted-offsite", ERROR, "backups")
def backups_unencrypted_offsite(facts: Facts) -> Iterator[Trouble]:
    """Whoever reads that storage has all your users' data, now or in years.

    A dump holds everything. age encrypts to public keys: the server that makes backups cannot read them.
    Source: docs/backup-format.md.
    """
    remote = [alias for alias, local in _destinations(facts) if local is None]
    if remote and not facts.ours.backups.recipients:
        cure = 'Set MAINTENANCE["BACKUPS"]["RECIPIENTS"] = ["age1…"] (age-keygen makes one; keep the other half safe).'
        yield Trouble(f"Backups go to {', '.join(map(repr, remote))} unencrypted.", cure)


@rule("backups-served", ERROR, "backups")
def backups_served(facts: Facts) -> Iterator[Trouble]:
    """Everybody can download your database.

    What lies below MEDIA_ROOT or STATIC_ROOT is given to whoever asks for its name.
    Source: Django, MEDIA_ROOT; docs/backup-format.md.
    """
    for alias, local in _destinations(facts):
        for name in ("MEDIA_ROOT", "STATIC_ROOT"):
            root = facts.django(name)
            if root and local is not None and local.is_relative_to(Path(root).resolve()):
                cure = f'Set MAINTENANCE["BACKUPS"]["ROOT"] (or STORAGES["{alias}"]) to a folder outside of it.'
                yield Trouble(f"The backups of {alias!r} lie below {name}.", cure)


@rule("backups-key-beside-lock", WARNING, "backups", deploy=True)
def backups_key_beside_lock(facts: Facts) -> Iterator[Trouble]:
    """Whoever takes that folder can read every backup in it.

    The private key is needed for restoring and verifying, not for making backups.
    Source: age, README, "Recipients".
    """
    identity = facts.ours.backups.identity
    for alias, local in _destinations(facts) if identity else ():
        if identity and local is not None and Path(identity).resolve().is_relative_to(local):
            yield Trouble(f"The private key lies in the destination {alias!r}.", "Move it out of there.")


@rule("backups-kept-for-ever", WARNING, "backups", deploy=True)
def backups_kept_for_ever(facts: Facts) -> Iterator[Trouble]:
    """The disk fills, and then backups fail as well as everything else.

    Without a rule nothing is ever removed. Source: restic, forget, whose words the rules are.
    """
    given: Any = facts.ours.backups
    bounded = given.max_size or any(getattr(given, f"keep_{each}") for each in _KEEP)
    if facts.schedules("maintenance.backup") and not bounded:
        yield Trouble("Backups are never removed.", 'Set MAINTENANCE["BACKUPS"]["KEEP_LAST"] = 14.')


@rule("backups-too-few", WARNING, "backups", deploy=True)
def backups_too_few(facts: Facts) -> Iterator[Trouble]:
    """A mistake that is noticed on Monday is already in every backup that is left.

    With one or two backups a fault has a day or two to be found. Source: docs/runbook.md.
    """
    given: Any = facts.ours.backups
    others = any(getattr(given, f"keep_{each}") for each in _KEEP if each != "last")
    if given.keep_last and given.keep_last < 3 and not others:
        yield Trouble(f"Only {given.keep_last} of each are kept.", 'Set MAINTENANCE["BACKUPS"]["KEEP_LAST"] = 14.')


@rule("database-not-backed-up", WARNING, "backups", deploy=True)
def database_not_backed_up(facts: Facts) -> Iterator[Trouble]:
    """It is gone with its disk.

    The task backs up what BACKUPS.DATABASES names: the default alone unless told otherwise. Replicas (TEST MIRROR)
    are taken for copies. Source: docs/settings.md.
    """
    if not facts.schedules("maintenance.backup"):
        return
    wanted = facts.ours.backups.databases
    for alias, entry in facts.django("DATABASES", {}).items():
        if alias not in wanted and entry.get("ENGINE") and not (entry.get("TEST") or {}).get("MIRROR"):
            names = [*wanted, alias]
            line = f'MAINTENANCE["BACKUPS"]["DATABASES"] = {names!r}'.replace("'", '"')
            yield Trouble(f"The database {alias!r} is not backed up.", f"Set {line}.")


@rule("media-not-backed-up", WARNING, "backups", deploy=True)
def media_not_backed_up(facts: Facts) -> Iterator[Trouble]:
    """The database comes back with the names of files that are gone.

    MEDIA_ROOT is set, so people upload. A remote default storage is taken for kept elsewhere.
    Source: docs/commands.md, backup_media.
    """
    if facts.django("MEDIA_ROOT") and _is_local(facts, "default") and not facts.schedules("maintenance.backup_media"):
        entry = '"media": {"task": "maintenance.backup_media", "schedule": crontab(minute="30", hour="2")}'
        yield Trouble("Uploaded files are not backed up.", f"Add {entry} to CELERY_BEAT_SCHEDULE.")


def _destinations(facts: Facts) -> list[tuple[str, Path | None]]:
    """Return each destination's alias with its folder; None where it is elsewhere."""
    configured, found = facts.django("STORAGES", {}), []
    for alias in facts.ours.backups.destinations:
        folder: Path | None = None
        if alias not in configured:
            folder = facts.ours.backups.root
        elif _is_local(facts, alias):
            options = configured[alias].get("OPTIONS") or {}
            folder = Path(options.get("location") or facts.django("MEDIA_ROOT") or ".")
        found.append((alias, folder and folder.resolve()))
    return found


def _is_local(facts: Facts, alias: str) -> bool:
    params = facts.django("STORAGES", {}).get(alias)
    try:
        cls = import_string(params["BACKEND"]) if params else None
    except ImportError:
        return False
    return isinstance(cls, type) and issubclass(cls, FileSystemStorage)
