"""manage.py backup"""

import os
import secrets
import socket
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils import timezone

from maintenance import conf
from maintenance.backups import create, destination
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_json
from maintenance.units import counted, human_size

# Renewed while the backup runs: after a crash the next one waits at most so long.
LOCK_LIVES_FOR = timedelta(minutes=5)


class Command(BaseCommand):
    help = "Back up databases (SQLite) to the backup storage, and remove what exceeds BACKUPS.KEEP_LAST of each."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--database", nargs="+", action="extend", metavar="ALIAS", help="these (default: BACKUPS.DATABASES)")
        add("--dry-run", action="store_true", help="only say what would be done")
        add_json(parser)

    def handle(self, *, database: list[str] | None, dry_run: bool, json: bool, **options: Any) -> None:
        given = conf.get().backups
        where = destination.choose(alias=given.storage, configured=settings.STORAGES, root=given.root)
        aliases = dict.fromkeys(database or given.databases)
        plans = [create.plan(alias=alias, destination=where, keep_last=given.keep_last) for alias in aliases]
        holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        facts = []
        for plan in plans:
            if dry_run:
                lines, fact = _foretell(plan)
            else:
                lines, fact = _tell(create.create(plan, holder=holder, ttl=LOCK_LIVES_FOR, clock=timezone.now))
            facts.append(fact)
            if not json:
                self.answer("\n".join(lines))
        if json:
            self.document(dry_run=dry_run, destination=where.label, backups=facts)


def _foretell(plan: create.Plan) -> tuple[list[str], dict[str, Any]]:
    alias, size, removes = plan.source.alias, plan.source.size_bytes, create.foresee(plan)
    lines = [f"Would back up {alias!r} (SQLite, {human_size(size)}) to {plan.destination.label!r}."]
    lines += [f"Would remove the older backup {id_}." for id_ in removes]
    return lines, {"alias": alias, "plain_bytes": size, "removed": removes}


def _tell(made: create.Backup) -> tuple[list[str], dict[str, Any]]:
    backup = made.manifest
    tables = backup.tables or {}
    rows = f"{counted(sum(tables.values()), 'row')} in {counted(len(tables), 'table')}"
    content = f"SQLite, {human_size(backup.plain_bytes)}, {rows}"
    stored = f"{human_size(backup.stored_bytes)} in {made.destination!r}"
    lines = [f"Backed up {backup.alias!r} ({content}) as {backup.id}: {stored}."]
    if made.swept:
        lines.append(f"Swept leftovers of killed runs: {made.swept}.")
    lines += [f"Removed the older backup {id_}." for id_ in made.removed]
    lines += [
        f"The manifest {name!r} cannot be read: its backup is left alone and not counted." for name in made.broken
    ]
    return lines, made.facts()
