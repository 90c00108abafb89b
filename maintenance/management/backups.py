"""How the doors plan backups by the settings, and say what became of them."""

import os
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TextIO, cast

from django.conf import settings
from django.core.files.storage import FileSystemStorage, storages
from django.core.management.base import CommandParser
from django.core.management.color import no_style
from django.utils import timezone

from maintenance import conf, process, units
from maintenance.backups import create, destination, drill
from maintenance.backups.destination import Destination
from maintenance.backups.drill import Means
from maintenance.backups.errors import DatabaseMissing, NoRecipients, UnknownStorage
from maintenance.backups.pulse import Watch, nobody
from maintenance.backups.retention import Rules
from maintenance.backups.shelves import Place
from maintenance.backups.sidecars import Entry
from maintenance.management.base import Command, add_json, value
from maintenance.units import counted, human_size

# Renewed while the backup runs: after a crash the next one waits at most so long.
LOCK_LIVES_FOR: Final = timedelta(minutes=5)
VERIFY: Final = ("none", "hash", "restore")
KEEP: Final = {
    "last": "the newest N",
    "hourly": "the newest of each of N hours that have one",
    "daily": "the newest of each of N days that have one",
    "weekly": "the newest of each of N weeks that have one",
    "monthly": "the newest of each of N months that have one",
    "yearly": "the newest of each of N years that have one",
}


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
        **{name: getattr(given, f"keep_{name}") for name in KEEP},
        within=given.keep_within,
        tags=given.keep_tags,
        minimum=given.minimum,
        max_size=given.max_size,
    )
    flags = flags or {}
    theirs = Rules(
        **{name: flags.get(f"keep_{name}") for name in KEEP},
        within=flags.get("keep_within"),
        tags=tuple(flags.get("keep_tag") or ()),
        minimum=given.minimum,
        max_size=flags.get("max_size") or given.max_size,
    )
    return theirs if theirs.select else replace(ours, max_size=theirs.max_size)


def add_rules(parser: CommandParser) -> None:
    """Add the flags of retention."""
    add = parser.add_argument
    for name, what in KEEP.items():
        add(f"--keep-{name}", type=value(units.whole), metavar="N", help=f"keep {what}")
    what = "keep what is not older than this, counted from the newest"
    add("--keep-within", type=value(units.duration), metavar="TIME", help=what)
    add("--keep-tag", action="append", default=[], metavar="TAG", help="keep what was made with this tag")
    add("--max-size", type=value(units.size), metavar="SIZE", help="of each database; the oldest go (BACKUPS.MAX_SIZE)")


def add_to(parser: CommandParser) -> None:
    """Add --to: some of the destinations."""
    add, text = parser.add_argument, "only these of BACKUPS.DESTINATIONS"
    add("--to", nargs="+", action="extend", metavar="DEST", default=[], help=text)


def add_flags(parser: CommandParser) -> None:
    """Add what backup and backup_media have in common."""
    add = parser.add_argument
    add_to(parser)
    add("--tag", default="", help="a word to find it by, and to keep it by")
    secret = parser.add_mutually_exclusive_group()
    secret.add_argument(
        "--encrypt", action="store_true", default=None, help="refuse to go on without BACKUPS.RECIPIENTS"
    )
    secret.add_argument("--no-encrypt", action="store_false", dest="encrypt", help="although there are recipients")
    add("--verify", choices=VERIFY, default="none", help="read what was stored, or restore it into a scratch database")
    add(
        "--max-seconds",
        type=value(units.duration),
        metavar="TIME",
        help="give up after so long (default: BACKUPS.MAX_SECONDS)",
    )
    add("--dry-run", action="store_true", help="only say what would be done")
    add_json(parser)


def back_up(
    command: Command, names: Iterable[str], plan: Callable[[str], create.Plan], options: Mapping[str, Any]
) -> None:
    """Make each backup, or with --dry-run foretell it, and say so. Raises what create.create_each raises."""
    dry_run, json = options["dry_run"], options["json"]
    facts: list[dict[str, Any]] = []
    holder = new_holder()

    def make(one: create.Plan) -> None:
        for warning in one.source.warnings:
            command.comment(f"Warning: {warning}")
        if dry_run:
            lines, fact = foretell(one)
        else:
            with progress(command, wanted=not json) as watch:
                made = create.create(one, holder=holder, ttl=LOCK_LIVES_FOR, clock=timezone.now, watch=watch)
                lines, fact = tell(made, one.source.label), made.facts()
                if options["verify"] != "none":
                    lines += [outcome.line() for outcome in _verified(made, one, options["verify"], watch)]
                    fact["verified"] = options["verify"]
        facts.append(fact)
        if not json:
            command.answer("\n".join(lines))

    try:
        create.create_each(names, plan, make)
    finally:
        if json and facts:
            command.document(dry_run=dry_run, backups=facts)


def _verified(made: create.Backup, plan: create.Plan, level: str, watch: Watch) -> Iterator[drill.Outcome]:
    for one in plan.destinations:
        yield drill.prove(Place(one, Entry(made.manifest)), means(level), clock=timezone.now, watch=watch)


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


def foretell(plan: create.Plan) -> tuple[list[str], dict[str, Any]]:
    """Return what --dry-run says about ``plan``, and the same as facts."""
    source, removes = plan.source, create.foresee(plan, now=timezone.now())
    size = "" if source.size_bytes is None else f", about {human_size(source.size_bytes)}"
    secret = f", encrypted to {counted(len(plan.recipients), 'key')}" if plan.recipients else ""
    where = _listed(one.label for one in plan.destinations)
    lines = [f"Would back up {source.alias!r} ({source.label}{size}) to {where}{secret}."]
    lines += [f"Would remove the older backup {id_}." for id_ in removes]
    facts = {"alias": source.alias, "engine": source.engine, "plain_bytes": source.size_bytes}
    return lines, {**facts, "removed": removes, "warnings": source.warnings}


def tell(made: create.Backup, label: str) -> list[str]:
    """Return what is said about a backup that was made."""
    backup = made.manifest
    rows = ""
    if backup.tables is not None:
        unit = ("table", "row") if backup.kind == "database" else ("folder", "file")
        rows = f", {counted(sum(backup.tables.values()), unit[1])} in {counted(len(backup.tables), unit[0])}"
    secret = ", encrypted" if backup.encryption else ""
    stored = f"{human_size(backup.stored_bytes)}{secret} in {_listed(made.destinations)}"
    content = f"{label}, {human_size(backup.plain_bytes)}{rows}"
    lines = [f"Backed up {backup.alias!r} ({content}) as {backup.id}: {stored}."]
    if made.swept:
        lines.append(f"Swept leftovers of killed runs: {made.swept}.")
    lines += [f"Removed the older backup {id_}." for id_ in made.removed]
    lines += [
        f"The manifest {name!r} cannot be read: its backup is left alone and not counted." for name in made.broken
    ]
    return lines


def _listed(labels: Iterable[str]) -> str:
    return ", ".join(map(repr, labels))


@contextmanager
def progress(command: Command, *, wanted: bool) -> Iterator[Watch]:
    """Give what draws a bar with bytes and rate on a terminal; elsewhere, nothing."""
    if not wanted or not command.verbosity or not command.stderr.isatty():
        yield nobody
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(file=cast(TextIO, command.stderr), no_color=command.style is no_style() or None)
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bars:
        yield _watching(bars)


def _watching(bars: Any) -> Callable[[str, int, int | None], None]:
    now: dict[str, Any] = {}

    def watch(stage: str, done: int, total: int | None) -> None:
        if stage not in now:
            for old in now.values():
                bars.remove_task(old)
            now.clear()
            now[stage] = bars.add_task(stage, total=total)
        bars.update(now[stage], completed=done, total=max(total, done) if total else None)

    return watch
