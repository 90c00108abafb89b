"""What may foreseeably go wrong with a backup."""

from typing import ClassVar

from maintenance.errors import ConfigurationError, MaintenanceError, NotConfirmed, Unavailable


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


class Damaged(MaintenanceError):
    """Backup {id!r} is damaged: {reason}."""

    exit_code: ClassVar[int] = 5
    hint = "The database was not touched. Take another backup: `manage.py list_backups`."


class IdentityMissing(ConfigurationError):
    """Backup {id!r} is encrypted, and no private key is known."""

    hint = 'Set MAINTENANCE["BACKUPS"]["IDENTITY"] to the file with the private key of one of: {to}.'


class IdentityUnusable(ConfigurationError):
    """The private key file {path!r} cannot be used: {reason}."""

    hint = "It must be what `age-keygen` wrote, and readable for this user only."


class IdentityRefused(ConfigurationError):
    """The key in {path!r} does not open backup {id!r}."""

    hint = "It is encrypted to: {to}."


class DecryptionUnavailable(Unavailable):
    """Reading encrypted backups needs pyrage, which is not installed."""

    hint = 'Run `pip install "django-maintenance-ops[encryption]"`.'


class NameTaken(MaintenanceError):
    """{name!r} exists already."""

    exit_code: ClassVar[int] = 4
    hint = "Give --into a new name."


class DatabaseBusy(MaintenanceError):
    """{where!r} was locked by others for {seconds} s."""

    exit_code: ClassVar[int] = 4
    hint = "Nothing was changed. Stop web, workers and beat, and restore again."


class RestoreFailed(MaintenanceError):
    """Restoring into {where!r} failed: {reason}."""

    hint = "Nothing was changed: the old content is in place."


class OtherDatabase(MaintenanceError):
    """Backup {id!r} is one of {theirs}, and {ours} is asked for."""

    exit_code: ClassVar[int] = 4
    hint = "{cure}"


class PrivilegeMissing(Unavailable):
    """{user!r} may not {what} on {where}."""

    hint = "{cure}"


class StorageUnreadable(Unavailable):
    """{file!r} cannot be read from the storage: {reason}."""

    hint = "The database was not touched. Try again when the storage answers."


class NotMeant(NotConfirmed):
    """Not confirmed: nothing was changed."""

    hint = "Type the database's alias, or pass --noinput --yes-i-mean ALIAS where nobody can answer."


class SomeDamaged(MaintenanceError):
    """{count} damaged: {ids}."""

    exit_code: ClassVar[int] = 5
    hint = "They are marked, and count for nothing in retention. Make a new backup now."
