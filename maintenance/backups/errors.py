"""What may foreseeably go wrong with a backup."""

from typing import ClassVar

from maintenance.errors import ConfigurationError, MaintenanceError, NotConfirmed, Unavailable


class UnknownDatabase(ConfigurationError):
    """There is no database {alias!r} in DATABASES."""

    hint = "It has: {known}."


class EngineUnsupported(ConfigurationError):
    """Database {alias!r} cannot be backed up: its engine is {engine!r}."""

    hint = "SQLite, PostgreSQL, MariaDB and MySQL are known. Use its own tools."


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


class OutOfTime(MaintenanceError):
    """{name!r} was stopped after {budget}, at {stage}: that is the most it may take."""

    exit_code: ClassVar[int] = 75
    hint = "Nothing was stored. Raise --max-seconds or BACKUPS.MAX_SECONDS, or find out what holds it up."


class DatabaseUnreachable(Unavailable):
    """Database {alias!r} cannot be reached: {reason}."""

    hint = "Start it, or correct DATABASES."


class LoginRefused(DatabaseUnreachable):
    """Database {alias!r} refuses the login: {reason}."""

    hint = "Correct USER and PASSWORD in DATABASES."


class ToolMissing(Unavailable):
    """The program {tool} is not installed: without it there is no backup of this database."""

    hint = "Install the package {package} (Debian's name)."


class ToolTooOld(Unavailable):
    """{tool} is version {version}, and the server is {server}: an older one cannot dump it."""

    hint = "Install the package {package} (Debian's name)."


class DumpFailed(MaintenanceError):
    """The dump of database {alias!r} failed: {program} ended with status {status}: {said}"""

    hint = "Nothing was stored."


class DumpCutShort(MaintenanceError):
    """The dump of database {alias!r} has no end: {program} ended well, but its last line is missing."""

    hint = "Nothing was stored. Update {program}; it may have been killed, or run out of something."


class UnknownDestination(ConfigurationError):
    """There is no backup destination {name!r}."""

    hint = "BACKUPS.DESTINATIONS has: {known}."


class NotEnoughSpace(MaintenanceError):
    """{path!r} has {free} free, and the backup of {alias!r} needs about {needed}."""

    hint = "Nothing was begun. Free some space, or set BACKUPS.STAGING to a folder on a larger disk."


class DestinationFailed(MaintenanceError):
    """Backup {id} of {alias!r} is missing in {failed}: {reason}"""

    exit_code: ClassVar[int] = 1
    hint = "{others}"


class MediaChanged(MaintenanceError):
    """The file {name!r} became shorter while it was read."""

    hint = "Nothing was stored. Run it again."


class ExcludeUnsupported(ConfigurationError):
    """{tool} cannot leave out the rows of a table: only MariaDB's program can."""

    hint = "Install the package mariadb-client (Debian's name), or leave --exclude-table-data out."


class StorageFailed(Unavailable):
    """{where} failed to {act} {name!r}: {reason}."""

    hint = "Look after the storage, its bucket and its credentials, then run it again."


class EncryptionMissing(ConfigurationError):
    """Encryption needs the package pyrage, which is not installed."""

    hint = "Run `pip install pyrage`."


class BadRecipient(ConfigurationError):
    """{recipient!r} is no public key of age: {reason}."""

    hint = (
        'MAINTENANCE["BACKUPS"]["RECIPIENTS"] takes what `age-keygen` prints as "public key": age1…, or ssh-ed25519 ….'
    )


class SeveralFailed(MaintenanceError):
    """Backups failed of {aliases}: {reasons}"""

    exit_code: ClassVar[int] = 1


class NoRecipients(ConfigurationError):
    """Nothing can be encrypted: BACKUPS.RECIPIENTS has no public key."""

    hint = "Make a pair with `age-keygen -o key.txt`, keep key.txt elsewhere, and put its public key there."


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


class MediaMissing(ConfigurationError):
    """There is no folder {path!r} to back up."""

    hint = "Set MEDIA_ROOT, or pass --root or --storage."


class UnknownStorage(ConfigurationError):
    """There is no storage {name!r} in STORAGES."""

    hint = "It has: {known}."


class NotRestored(MaintenanceError):
    """Backup {id!r} is whole, but the server refused it: {reason}."""

    exit_code: ClassVar[int] = 5
    hint = "The database was not touched. The server may lack an extension, a privilege or space."


class RestoreRuns(MaintenanceError):
    """Another restore of database {alias!r} is at work."""

    exit_code: ClassVar[int] = 4
    hint = "Wait until it is done."


class RestoreUnfinished(MaintenanceError):
    """The restored tables of {where!r} are in place, but not yet all views, routines, triggers and events: {reason}."""

    hint = "Remove the cause and run the same command again: it begins with finishing this one."


class MediaBeside(ConfigurationError):
    """Backup {id!r} holds uploaded files: they are never restored over files that are there."""

    hint = "Pass --into and the name of a new folder, then copy from it what you need."
