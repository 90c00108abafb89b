"""manage.py restore_backup"""

from functools import partial
from typing import Any

from django.core.management.base import CommandParser
from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone

from maintenance import conf
from maintenance.backups import catalog, report, restore
from maintenance.backups.errors import NotMeant
from maintenance.management import backups
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_json


class Command(BaseCommand):
    help = (
        "Restore a backup over its database, or beside it with --into. It is proven before, and the database is "
        "backed up first. Stop web, workers and beat before."
    )
    noinput = "do not ask; needs --yes-i-mean"

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("id", metavar="ID|latest", help="which backup")
        add(
            "--database",
            metavar="ALIAS",
            help=f"the database to restore (default: the backup's; latest: {DEFAULT_DB_ALIAS})",
        )
        add("--into", default="", metavar="NAME", help="restore into this new database (SQLite: file) instead")
        add("--force", action="store_true", help="take the backup of another alias, too")
        add("--yes-i-mean", default="", metavar="ALIAS", help="with --noinput: the database that is overwritten")
        add("--no-safety-backup", action="store_true", help="do not back the database up first")
        add("--dry-run", action="store_true", help="only say what would be done")
        add_json(parser)

    def handle(self, *, id: str, database: str | None, into: str, json: bool, **options: Any) -> None:
        given, holder = conf.get().backups, backups.holder()
        where = backups.chosen(given)
        there = catalog.read(where.storage)
        backup = there.find(id, alias=database or DEFAULT_DB_ALIAS, where=where.label).manifest
        force = options["force"]
        plan = restore.plan(destination=where, backup=backup, alias=database or "", into=into, force=force)
        if options["dry_run"]:
            if json:
                self.document(dry_run=True, **plan.facts())
            else:
                self.answer(f"Would restore {report.about(backup, timezone.now())} {plan.target}.")
            return
        if not into:
            self._confirm(plan, f"Restore {report.about(backup, timezone.now())} {plan.target}.", options)
            done = restore.recover(plan.alias)
            if done:
                self.comment(done)
        safety = partial(backups.safety, plan.alias, where, holder)
        restored = restore.restore(
            plan,
            holder=holder,
            ttl=backups.LOCK_LIVES_FOR,
            identity=given.identity,
            safety=(lambda: "") if options["no_safety_backup"] else safety,
        )
        if json:
            self.document(dry_run=False, **plan.facts() | {"tables": restored.found.tables, "safety": restored.safety})
            return
        self.answer(f"Restored {backup.id} {plan.target}: {report.contents(restored.found.tables)}.")
        if restored.safety:
            self.answer(f"What was there before is backup {restored.safety}.")

    def _confirm(self, plan: restore.Plan, what: str, options: dict[str, Any]) -> None:
        if not options["interactive"]:
            if options["yes_i_mean"] != plan.alias:
                raise NotMeant()
            return
        self.comment(f"{what} What is in it now will be gone.")
        self.confirm("Type the database's alias:", interactive=True, word=plan.alias, refusal=NotMeant)
