"""manage.py restore_backup"""

from functools import partial
from typing import Any

from django.core.management.base import CommandParser
from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone

from maintenance import conf
from maintenance.backups import report, restore, shelves
from maintenance.backups.errors import NotMeant
from maintenance.management import backup_flags, backups, transfer
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
        add("--database", metavar="ALIAS", help="restore this one (default: the backup's own; with latest, default)")
        add("--into", default="", metavar="NAME", help="restore into this new database (SQLite: file) instead")
        add("--force", action="store_true", help="take the backup of another alias, too")
        add("--yes-i-mean", default="", metavar="ALIAS", help="with --noinput: the database that is overwritten")
        add("--no-safety-backup", action="store_true", help="do not back the database up first")
        add("--dry-run", action="store_true", help="only say what would be done")
        backup_flags.add_to(parser)
        add_json(parser)

    def handle(self, *, id: str, database: str | None, into: str, json: bool, **options: Any) -> None:
        there = shelves.look(backups.destinations(options["to"]))
        place = shelves.find(there, id, alias=database or DEFAULT_DB_ALIAS)[0]
        plan = restore.plan(place, alias=database or "", into=into, force=options["force"])
        what = f"{report.about(plan.backup, timezone.now())} {plan.target}"
        if options["dry_run"]:
            self._tell(f"Would restore {what}.", json, dry_run=True, **plan.facts())
            return
        if not into:
            self._confirm(plan, what, **options)
            self._recover(plan)
        restored = self._restore(plan, json, safety=not options["no_safety_backup"])
        saved = f"\nWhat was there before is backup {restored.safety}." if restored.safety else ""
        said = f"Restored {plan.backup.id} {plan.target}: {report.contents(restored.found.tables)}.{saved}"
        facts = plan.facts() | {"tables": restored.found.tables, "safety": restored.safety}
        self._tell(said, json, dry_run=False, **facts)

    def _restore(self, plan: restore.Plan, json: bool, *, safety: bool) -> restore.Restored:
        holder = backups.new_holder()
        first = partial(backups.safety, plan.alias, holder) if safety else str
        with transfer.progress(self, wanted=not json) as watch:
            return restore.restore(
                plan,
                holder=holder,
                ttl=backups.LOCK_LIVES_FOR,
                identity=conf.get().backups.identity,
                safety=first,
                watch=watch,
            )

    def _confirm(self, plan: restore.Plan, what: str, *, interactive: bool, yes_i_mean: str, **options: Any) -> None:
        if interactive:
            self.comment(f"Restore {what}. What is in it now will be gone.")
            self.confirm("Type the database's alias:", interactive=True, word=plan.alias, refusal=NotMeant)
        elif yes_i_mean != plan.alias:
            raise NotMeant()

    def _recover(self, plan: restore.Plan) -> None:
        done = restore.recover(plan.alias)
        if done:
            self.comment(done)

    def _tell(self, text: str, json: bool, **facts: Any) -> None:
        if json:
            self.document(**facts)
        else:
            self.answer(text)
