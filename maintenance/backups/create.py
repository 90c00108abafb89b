"""Making a backup: dump, compress, encrypt, store, and the manifest last."""

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import django
import zstandard
from django.core.files.storage import Storage

from maintenance import lease

from . import catalog, crypt, engines, retention, signals, space, store, streams
from .destination import Destination, writing
from .engines.files import dump as files
from .engines.source import Source
from .manifest import Manifest
from .names import AGE, data_name, kind_of, new_id
from .pulse import Pulse, Watch, nobody
from .retention import Rules


@dataclass(frozen=True)
class Origin:
    """Who makes a backup: the project's name and the host's."""

    project: str = ""
    host: str = ""


@dataclass(frozen=True)
class Plan:
    """A backup to make: of what, where to, and how."""

    source: Source
    destinations: tuple[Destination, ...]
    rules: Rules = field(default_factory=Rules)
    """Which older ones stay afterwards."""
    recipients: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    tag: str = ""
    origin: Origin = field(default_factory=Origin)
    at_most: timedelta | None = None

    @property
    def lock(self) -> str:
        """The name of the lease that is held meanwhile."""
        return f"backup:{self.source.alias}"

    @property
    def kind(self) -> str:
        """``database`` or ``media``."""
        return kind_of(self.source.engine)


@dataclass(frozen=True)
class Backup:
    """A backup that was made, and what was removed along with it."""

    manifest: Manifest
    destinations: tuple[str, ...]
    swept: int
    """Leftovers of killed runs."""
    removed: tuple[str, ...]
    """Ids of older backups that retention removed."""
    broken: tuple[str, ...]
    """Manifests in the destinations that cannot be read."""

    def facts(self) -> dict[str, Any]:
        """Return it as JSON-able facts: the manifest's, and what was removed."""
        listed = {key: list(getattr(self, key)) for key in ("destinations", "removed", "broken")}
        return {**self.manifest.facts(), **listed, "swept": self.swept}


def plan(*, alias: str, destinations: tuple[Destination, ...], **how: Any) -> Plan:
    """Return how the database ``alias`` is backed up; ``how`` are Plan's other fields. Nothing is written.

    Raises UnknownDatabase, EngineUnsupported, DatabaseInMemory, DatabaseMissing, DatabaseUnreachable, ToolMissing,
    ToolTooOld, EncryptionMissing, BadRecipient.
    """
    return _usable(Plan(engines.source(alias), destinations, **how))


def _usable(plan: Plan) -> Plan:
    if plan.recipients:
        crypt.encryption(plan.recipients)
    return plan


def plan_media(*, alias: str, storage: Storage, skip: Sequence[Path] = (), **how: Any) -> Plan:
    """Return how the files of ``storage`` are backed up under the name ``alias``, without the folders ``skip``.

    Raises MediaMissing, EncryptionMissing, BadRecipient.
    """
    return _usable(Plan(files.source(alias, storage, skip=skip), **how))


def create(plan: Plan, *, holder: str, ttl: timedelta, clock: Callable[[], datetime], watch: Watch = nobody) -> Backup:
    """Make the backup of ``plan`` as ``holder`` of its lock, which lives for ``ttl`` and is renewed.

    Leftovers of killed runs are swept before, backups that no rule keeps removed after.
    Raises LockHeld, LeaseLost, OutOfTime, NotEnoughSpace, CannotWrite, OutOfSpace, StoredDiffers, StorageFailed,
    DestinationFailed, and what the engine's dump raises.
    """
    with lease.held(plan.lock, holder=holder, ttl=ttl, reason=f"backup of {plan.source.alias}"):
        pulse = Pulse(plan.lock, holder=holder, ttl=ttl, at_most=plan.at_most, watch=watch)
        started = clock()
        id_ = new_id(started)
        with _announced(plan, id_):
            there, swept = _swept(plan, started)
            space.require(plan.source, plan.destinations, there)
            manifest = _make(plan, id_, started=started, clock=clock, pulse=pulse)
        removed = [id_ for destination in plan.destinations for id_ in _thinned(plan, destination, there, manifest)]
    broken = (name for one in there.values() for name in one.broken)
    labels = tuple(destination.label for destination in plan.destinations)
    return Backup(manifest, labels, swept, tuple(dict.fromkeys(removed)), tuple(dict.fromkeys(broken)))


def foresee(plan: Plan, *, now: datetime) -> tuple[str, ...]:
    """Return the ids of the backups that retention will remove once the one of ``plan`` is made; changes nothing."""
    old: dict[str, None] = {}
    for destination in plan.destinations:
        with writing(destination):
            there = catalog.read(destination.storage)
        before = [one for one in there.entries if one.group == (plan.source.alias, plan.kind, plan.source.engine)]
        if before:
            coming = replace(before[-1].manifest, id=new_id(now), started=now, tag=plan.tag)
            those = retention.surplus(coming, before=before, rules=plan.rules)
            old |= dict.fromkeys(backup.id for backup in those)
    return tuple(old)


@contextmanager
def _announced(plan: Plan, id_: str) -> Iterator[None]:
    about = {"sender": Manifest, "alias": plan.source.alias, "id": id_}
    signals.backup_started.send_robust(**about)
    try:
        yield
    except BaseException as error:
        signals.backup_failed.send_robust(**about, error=error)
        raise


def _swept(plan: Plan, started: datetime) -> tuple[dict[str, catalog.Catalog], int]:
    there, count = {}, 0
    for destination in plan.destinations:
        with writing(destination):
            found = there[destination.label] = catalog.read(destination.storage)
            left = catalog.leftovers(found, destination, alias=plan.source.alias, started=started)
            catalog.sweep(destination.storage, left)
            count += len(left)
    return there, count


def _make(plan: Plan, id_: str, *, started: datetime, clock: Callable[[], datetime], pulse: Pulse) -> Manifest:
    source, at_home = plan.source, store.home(plan.destinations)
    encrypt = crypt.encryption(plan.recipients) if plan.recipients else None
    name = data_name(id_, source.alias, source.engine, AGE if encrypt else "")
    with writing(at_home), store.staging(at_home, name) as folder:
        dumping = source.dump(folder=folder, exclude=plan.exclude, pulse=pulse)
        with dumping as dump, pulse.stage("dump", dump.size_bytes):
            # The end of the chunks is also the check of the exit status of the program that they come from.
            packed = streams.pack(dump.chunks, folder / "data", encrypt=encrypt, pulse=pulse)
            contents = dump.contents()
        manifest = Manifest(
            id=id_,
            alias=source.alias,
            kind=plan.kind,
            engine=source.engine,
            file=name,
            host=plan.origin.host,
            project=plan.origin.project,
            started=started,
            finished=clock(),
            stages=pulse.stages,
            **vars(packed),
            encryption=AGE if encrypt else "",
            recipients=plan.recipients,
            tag=plan.tag,
            **{**vars(contents), "versions": {**contents.versions, **_versions()}},
        )
        file = streams.create(folder / "manifest")
        file.write_bytes(manifest.to_json())
        staged = store.Staged(folder / "data", file, manifest, at_home)
        with pulse.stage("store", packed.stored_bytes):
            store.store(staged, plan.destinations, pulse=pulse, last=pulse.renew)
    signals.backup_finished.send_robust(sender=Manifest, manifest=manifest, destinations=plan.destinations)
    return manifest


def _thinned(
    plan: Plan, destination: Destination, there: Mapping[str, catalog.Catalog], made: Manifest
) -> Iterator[str]:
    before = there[destination.label].entries
    with writing(destination):
        for backup in retention.surplus(made, before=before, rules=plan.rules):
            catalog.remove(destination.storage, backup)
            signals.backup_pruned.send_robust(sender=Manifest, manifest=backup, destination=destination)
            yield backup.id


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "django": django.get_version(),
        "zstandard": zstandard.__version__,
    }
