"""EVERY setting: ``settings.MAINTENANCE`` as frozen dataclasses. Keys are the field names in capitals."""

import difflib
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import BadSetting, UnknownSetting
from .kinds import (
    CONCURRENCY,
    DURATION,
    FLAG,
    FOLDER,
    MISFIRE,
    MOMENT,
    NAME,
    NAMES,
    OPTIONS,
    PATH,
    PATHS,
    PERCENT,
    SECRET_URL,
    SECRET_URLS,
    SIZE,
    TEXT,
    TOKEN,
    URL,
    WHOLE,
    ZONE,
    Kind,
    setting,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Section = TypeVar("Section", bound="DataclassInstance")


@dataclass(frozen=True)
class Profile:
    """``MAINTENANCE["WORKER"]["PROFILES"][name]``: run_worker's options under a name."""

    queues: tuple[str, ...] | None = setting(None, NAMES, "This kind of worker consumes only these queues.")
    pool: str | None = setting(None, NAME, "This kind of worker needs another pool.")
    concurrency: int | str | None = setting(None, CONCURRENCY, "This kind of worker runs so many tasks at a time.")
    hostname: str | None = setting(None, NAME, "Two kinds of worker share a host: give each its name, as heavy@%h.")
    max_memory: int | None = setting(None, SIZE, "This kind of worker as a whole may use only so much memory.")
    grace: Any = setting(None, DURATION, "Where this kind runs, another time lies between SIGTERM and SIGKILL.")


def _profiles(value: Any) -> dict[str, Profile]:
    where = 'MAINTENANCE["WORKER"]["PROFILES"]'
    return {name: section(Profile, entry, f'{where}["{name}"]') for name, entry in OPTIONS.read(value).items()}


PROFILES = Kind(_profiles, "a dict of profiles")


@dataclass(frozen=True)
class Worker:
    """``MAINTENANCE["WORKER"]``: how run_worker plans."""

    app: str | None = setting(None, NAME, "The Celery app (as for celery -A) is not found by itself.")
    profiles: Mapping[str, Profile] = setting(dict, PROFILES, "You run several kinds of worker (--profile NAME).")
    memory_per_child: int = setting(150_000_000, SIZE, "Your tasks need more or less; a memory limit is divided by it.")
    database_connections: int | None = setting(None, WHOLE, "Your database allows few connections.")
    grace: Any = setting(None, DURATION, "SIGKILL follows SIGTERM sooner or later than this host is known for.")


@dataclass(frozen=True)
class Broker:
    """``MAINTENANCE["BROKER"]``: the embedded broker that run_broker starts."""

    folder: Path | None = setting(None, PATH, "run_broker shall serve this project: the folder of its data and socket.")


@dataclass(frozen=True)
class Backups:
    """``MAINTENANCE["BACKUPS"]``: where backups go and which are kept."""

    root: Path = setting(Path("var/backups"), PATH, 'There is no STORAGES["backups"] and another folder is wanted.')
    destinations: tuple[str, ...] = setting(("backups",), NAMES, "Backups go to other aliases of STORAGES, or several.")
    staging: Path | None = setting(None, PATH, "For a remote storage the temp folder is too small to hold a backup.")
    databases: tuple[str, ...] = setting(("default",), NAMES, "The task backs up other databases too.")
    media: tuple[str, ...] = setting(("default",), NAMES, "backup_media shall take other aliases of STORAGES.")
    recipients: tuple[str, ...] = setting((), NAMES, "Backups shall be encrypted: age's public keys of who may read.")
    exclude_table_data: tuple[str, ...] = setting((), NAMES, "Rows shall be left out of tables that match a glob.")
    max_seconds: Any = setting(timedelta(hours=6), DURATION, "A backup may take longer, or shall be given up sooner.")
    keep_last: int | None = setting(None, WHOLE, "Older backups shall go: keep this many of each database.")
    keep_hourly: int | None = setting(None, WHOLE, "Keep the newest of each of so many hours (UTC) that have one.")
    keep_daily: int | None = setting(None, WHOLE, "The same for days.")
    keep_weekly: int | None = setting(None, WHOLE, "The same for weeks, which begin on Mondays.")
    keep_monthly: int | None = setting(None, WHOLE, "The same for months.")
    keep_yearly: int | None = setting(None, WHOLE, "The same for years.")
    keep_within: Any = setting(None, DURATION, "Keep all that are not older than this, counted from the newest.")
    keep_tags: tuple[str, ...] = setting((), NAMES, "Keep all that were made with one of these tags.")
    minimum: int = setting(1, WHOLE, "So many of each database stay, whatever the rules and the size say.")
    max_size: int | None = setting(None, SIZE, "The backups of a database shall take no more: the oldest go.")
    scratch: str | None = setting(None, NAME, "Verifying shall restore on another server: its alias of DATABASES.")
    identity: Path | None = setting(None, PATH, "Encrypted backups shall be read here: the file with the private key.")


@dataclass(frozen=True)
class Results:
    """``MAINTENANCE["RESULTS"]``: how long task results are kept."""

    keep_for: Any = setting(None, DURATION, "Results live shorter or longer than CELERY_RESULT_EXPIRES says.")
    keep_failed_for: Any = setting(None, DURATION, "Failures live longer (or shorter) than other results.")
    keep_last: int | None = setting(None, WHOLE, "So many results of each task are kept, however old.")
    stuck_after: Any = setting(None, DURATION, "Results that stay STARTED, PENDING or RETRY for so long shall go too.")
    archive: Path | None = setting(None, PATH, "Results shall be written to files in this folder before they go.")
    batch_size: int | None = setting(None, WHOLE, "A transaction may delete so many rows at most; else about 100 ms.")
    max_seconds: Any = setting(timedelta(seconds=240), DURATION, "One purge may take longer or shorter.")


@dataclass(frozen=True)
class Caches:
    """``MAINTENANCE["CACHES"]``: what the scheduled clear_cache clears."""

    clear: tuple[str, ...] = setting(("default",), NAMES, "Other aliases of CACHES shall be cleared.")


@dataclass(frozen=True)
class Root:
    """``MAINTENANCE["FILES"]["ROOTS"][name]``: a folder below which clear_files may remove files; or just its path."""

    path: Any = setting(None, FOLDER, "Always: nothing outside of it is touched.")
    older_than: Any = setting(None, DURATION, "The scheduled clear_files shall clean it too.")
    pattern: str = setting("*", NAME, "Only some of its files may go, as *.tmp or uploads/*.")


def _roots(value: Any) -> dict[str, Root]:
    where, roots = 'MAINTENANCE["FILES"]["ROOTS"]', {}
    for name, given in OPTIONS.read(value).items():
        entry = given if isinstance(given, Mapping) else {"PATH": given}
        roots[name] = section(Root, entry, f'{where}["{name}"]')
        if roots[name].path is None:
            raise BadSetting(where=f'{where}["{name}"]', key="PATH", value=None, expected=FOLDER.expected)
    return roots


ROOTS = Kind(_roots, "a dict of folders by name")


@dataclass(frozen=True)
class Files:
    """``MAINTENANCE["FILES"]``: what clear_files may touch."""

    roots: Mapping[str, Root] = setting(dict, ROOTS, "Old uploads, exports or other files shall go.")


@dataclass(frozen=True)
class Schedule:
    """``MAINTENANCE["SCHEDULES"][name]``: what a beat entry has no key for. Small letters are read too."""

    enabled: bool | None = setting(None, FLAG, "The schedule shall rest until this is taken away.")
    one_off: bool | None = setting(None, FLAG, "It shall run a single time.")
    start_time: Any = setting(None, MOMENT, "It shall not run before (a time without offset is in Celery's zone).")
    description: str | None = setting(None, TEXT, "The admin shall tell what it is for.")
    misfire: str | None = setting(None, MISFIRE, "Due times that beat missed shall not be sent as one late run.")
    no_overlap: bool | None = setting(None, FLAG, "It shall not start while its last run is unfinished.")
    timezone: str | None = setting(None, ZONE, "Its crontab is meant in another zone than Celery's.")
    ping: str | None = setting(None, URL, "A monitor waits for a sign of every run.")


@dataclass(frozen=True)
class Beat:
    """``MAINTENANCE["BEAT"]``: the scheduler maintenance.beat:Scheduler."""

    lease_ttl: Any = setting(timedelta(seconds=15), DURATION, "A killed beat shall be replaced sooner or later.")
    max_missed: int = setting(1000, WHOLE, "The misfire policy all may send more or fewer missed runs of an entry.")
    late_after: Any = setting(timedelta(seconds=5), DURATION, "The misfire policy skip is stricter or more lenient.")
    overlap_age: Any = setting(timedelta(hours=2), DURATION, "no_overlap shall wait longer or shorter for a lost run.")


@dataclass(frozen=True)
class Health:
    """``MAINTENANCE["HEALTH"]``: who may see /healthz/ in full and /metrics, when a check complains, who is told."""

    token: str | None = setting(None, TOKEN, "Monitoring shall see details and /metrics: it sends this bearer token.")
    ping_url: str | None = setting(None, SECRET_URL, "A watcher outside shall know that beat ticks: asked each minute.")
    warnings_as_errors: bool = setting(False, FLAG, "/healthz/ shall answer 500 for warnings too.")
    queue_age: Any = setting(timedelta(minutes=15), DURATION, "A message may wait longer, or must not for so long.")
    queue_depth: int | None = setting(None, WHOLE, "More messages than that in one queue are worth a warning.")
    backup_age: Any = setting(timedelta(hours=26), DURATION, "Backups are not made daily.")
    backup_shrink: int = setting(50, PERCENT, "A backup may be smaller than usual by more percent, or by fewer.")
    verified_age: Any = setting(timedelta(days=8), DURATION, "Backups are not verified weekly.")
    failure_rate: int = setting(20, PERCENT, "More or fewer percent of an hour's tasks may fail.")
    failure_minimum: int = setting(10, WHOLE, "The rate shall count with fewer runs in the hour, or only with more.")
    disk_free: int = setting(1_000_000_000, SIZE, "More or less room shall be free where the project writes.")
    disks: tuple[Path, ...] = setting((Path("var"),), PATHS, "The project writes to other folders, too.")
    clock_skew: Any = setting(timedelta(seconds=5), DURATION, "The database's clock may differ by more, or by less.")
    webhooks: tuple[str, ...] = setting(
        (), SECRET_URLS, "Alerts shall go there too (Slack, or anything that reads JSON)."
    )
    remind_after: Any = setting(timedelta(hours=6), DURATION, "What stays broken shall be told again sooner or later.")
    looks: int = setting(2, WHOLE, "A change shall be told after so many looks in a row that agree.")


@dataclass(frozen=True)
class Maintenance:
    """``settings.MAINTENANCE``: one dict, a section a subject."""

    worker: Worker = setting(Worker, OPTIONS, "")
    broker: Broker = setting(Broker, OPTIONS, "")
    beat: Beat = setting(Beat, OPTIONS, "")
    backups: Backups = setting(Backups, OPTIONS, "")
    results: Results = setting(Results, OPTIONS, "")
    caches: Caches = setting(Caches, OPTIONS, "")
    files: Files = setting(Files, OPTIONS, "")
    health: Health = setting(Health, OPTIONS, "")
    schedules: Mapping[str, Schedule] = setting(dict, OPTIONS, "")


SECTIONS: dict[str, type[Any]] = {
    "worker": Worker,
    "broker": Broker,
    "beat": Beat,
    "backups": Backups,
    "results": Results,
    "caches": Caches,
    "files": Files,
    "health": Health,
}


def get() -> Maintenance:
    """Return the project's settings as they are now (override_settings is followed).

    Raises UnknownSetting and BadSetting, which name the key.
    """
    from django.conf import settings

    given = getattr(settings, "MAINTENANCE", {})
    if not isinstance(given, Mapping):
        raise BadSetting(where="settings", key="MAINTENANCE", value=given, expected="a dict")
    known = {name.upper(): name for name in (*SECTIONS, "schedules")}
    sections: dict[str, Any] = {}
    for key, value in given.items():
        _refuse_unknown(key, known, "MAINTENANCE")
        where = f'MAINTENANCE["{key}"]'
        if key == "SCHEDULES":
            sections["schedules"] = _schedules(value, where)
        else:
            sections[known[key]] = section(SECTIONS[known[key]], value, where)
    return Maintenance(**sections)


def _schedules(given: Any, where: str) -> dict[str, Schedule]:
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise BadSetting(where="MAINTENANCE", key="SCHEDULES", value=given, expected="a dict of schedules by name")
    found = {}
    for name, entry in given.items():
        if not isinstance(entry, Mapping):
            raise BadSetting(where=where, key=name, value=entry, expected="a dict")
        found[name] = section(Schedule, {_capitals(key): value for key, value in entry.items()}, f'{where}["{name}"]')
    return found


def _capitals(key: object) -> object:
    return key.upper() if isinstance(key, str) and key == key.lower() else key


def section(cls: type[Section], given: Any, where: str) -> Section:
    """Return the dict ``given`` as an instance of the dataclass ``cls``. Raises UnknownSetting, BadSetting."""
    if not isinstance(given, Mapping):
        raise BadSetting(where=where.rpartition("[")[0], key=where.split('"')[-2], value=given, expected="a dict")
    declared: dict[str, Field[Any]] = {entry.name.upper(): entry for entry in fields(cls)}
    values = {}
    for key, value in given.items():
        _refuse_unknown(key, declared, where)
        values[declared[key].name] = _read(declared[key], key, value, where)
    return cls(**values)


def _read(entry: "Field[Any]", key: str, value: Any, where: str) -> Any:
    if value is None and entry.default is None:
        return None
    kind: Kind = entry.metadata["kind"]
    try:
        return kind.read(value)
    except (TypeError, ValueError) as error:
        if kind.is_secret:  # its words would hold the value
            raise BadSetting(where=where, key=key, value="**", expected=kind.expected) from None
        raise BadSetting(where=where, key=key, value=value, expected=kind.expected) from error


def _refuse_unknown(key: object, known: Mapping[str, object], where: str) -> None:
    if key in known:
        return
    near = difflib.get_close_matches(str(key).upper(), known, n=1)
    suggestion = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(known))}."
    raise UnknownSetting(key=key, where=where, suggestion=suggestion)
