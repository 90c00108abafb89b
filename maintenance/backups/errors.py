"""What may foreseeably go wrong with a backup."""

from typing import ClassVar

from maintenance.errors import ConfigurationError, MaintenanceError, Unavailable


class UnknownDatabase(ConfigurationError):
    """There is no database {alias!r} in DATABASES."""

    hint = "It has: {known}."


class EngineUnsupported(ConfigurationError):
    """Backing up {alias!r} is not supported yet: its engine is {engine!r}, and only SQLite is."""

    hint = "Until then use {tool}."


class DatabaseInMemory(ConfigurationError):
    """Database {alias!r} is SQLite in memory: it has no file to back up."""

    hint = 'Give DATABASES[{alias!r}]["NAME"] a path.'


class DatabaseMissing(Unavailable):
    """The file {path!r} of database {alias!r} does not exist."""

    hint = "Run `manage.py migrate`, or correct its NAME."


class SnapshotFailed(MaintenanceError):
    """Database {alias!r} could not be copied: {reason}."""

    hint = "Nothing was stored. Try again; `PRAGMA integrity_check` tells whether the database is damaged."


class CopyDamaged(MaintenanceError):
    """The copy of database {alias!r} failed its check: {reason}."""

    exit_code: ClassVar[int] = 5
    hint = "Nothing was stored. Run `PRAGMA integrity_check` on the database itself."


class OutOfSpace(MaintenanceError):
    """No space is left in {path!r}."""

    hint = "Nothing was stored. Free some space, or lower the number of backups that are kept."


class StoredDiffers(MaintenanceError):
    """{where} holds {stored!r} for what was sent as {sent!r}."""

    exit_code: ClassVar[int] = 5
    hint = "Nothing was stored. Check the storage behind it."


class LeaseLost(MaintenanceError):
    """The lock {name!r} was lost: this run stood still for longer than the lock lives."""

    exit_code: ClassVar[int] = 4
    hint = "Nothing was stored. Run it again."


class ManifestBroken(MaintenanceError):
    """The manifest {name!r} cannot be read: {reason}."""

    exit_code: ClassVar[int] = 5
    hint = "Its backup is left alone and not counted. Remove both by hand when they are of no use."


class SidecarBroken(MaintenanceError):
    """{name!r} cannot be read: {reason}."""

    exit_code: ClassVar[int] = 5
    hint = "Delete it: what it says is found out again by `manage.py verify_backup`, or pinned again."


class NoBackup(MaintenanceError):
    """There is no backup {wanted!r} in {where}."""

    hint = "`manage.py list_backups` tells what there is."
