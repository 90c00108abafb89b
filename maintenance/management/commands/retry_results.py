"""manage.py retry_results"""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from maintenance import project, units
from maintenance.errors import MaintenanceError
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_app, add_database, add_json, value
from maintenance.management.found import celery_app
from maintenance.results import listing, resend
from maintenance.results.retention import ago


class NotAll(MaintenanceError):
    """{refused} cannot be sent again."""

    hint = "The lines above say why."


class Command(BaseCommand):
    help = "Send failed tasks again: with their arguments, to their queue, once a failure. Prompts with --failed."
    noinput = "do not ask"

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("ids", nargs="*", metavar="ID", help="task ids, as list_results shows them")
        add_app(parser)
        add("--failed", action="store_true", help="instead of ids: all failures, with --task and --since fewer")
        add("--task", nargs="+", default=(), metavar="GLOB", help="only of these tasks, as 'app.tasks.*'")
        add("--since", type=value(units.duration), metavar="TIME", help="only of so long ago, as 24h")
        add("--force", action="store_true", help="also what was sent again before, and what did not fail")
        add_database(parser, default=None)
        add("--dry-run", action="store_true", help="only say what would be sent")
        add_json(parser)

    def handle(self, *, ids: list[str], app: str | None, dry_run: bool, json: bool, **options: Any) -> None:
        if bool(ids) == options["failed"]:
            raise CommandError("Pass task ids, or --failed (with --task and --since).", returncode=2)
        found, using = celery_app(app).app, options["database"]
        project.discover(found)
        rows = resend.by_id(ids, using=using) if ids else _failures(options)
        plan = resend.plan(rows, app=found, force=options["force"])
        for refused in plan.refused:
            self.comment(f"{refused.id} {refused.task or '(no name)'}: {refused.reason}")
        for task_id, sent_as in plan.already.items():
            self.comment(f"{task_id}: it was sent again as {sent_as}; --force sends it once more.")
        sent: list[resend.Resent] = []
        if not dry_run and plan.failures:
            if not ids:
                many = units.counted(len(plan.failures), "failed task")
                self.confirm(f"Send {many} again?", interactive=options["interactive"])
            sent = resend.send(plan, app=found, using=using, tell=lambda each: None)
        self._tell(plan, sent, dry_run=dry_run, json=json)
        if plan.refused:
            raise NotAll(refused=units.counted(len(plan.refused), "result"))

    def _tell(self, plan: resend.Plan, sent: list[resend.Resent], *, dry_run: bool, json: bool) -> None:
        would = [{"id": each.id, "task": each.task, "queue": each.queue} for each in plan.failures]
        if json:
            refused = [asdict(each) for each in plan.refused]
            facts = {"planned": would, "sent": [asdict(each) for each in sent], "refused": refused}
            self.document(dry_run=dry_run, **facts, already=plan.already)
        elif dry_run:
            lines = [f"{each['id']} {each['task']} to {each['queue'] or 'its usual queue'}" for each in would]
            self.answer("\n".join([*lines, f"Would send {units.counted(len(would), 'task')} again."]))
        else:
            lines = [f"{each.id} {each.task} sent as {each.sent_as}" for each in sent]
            self.answer("\n".join([*lines, f"Sent {units.counted(len(sent), 'task')} again."]))


def _failures(options: dict[str, Any]) -> Any:
    since: timedelta | None = options["since"]
    start = None if since is None else ago(since, timezone.now())
    return listing.select(since=start, failed=True, tasks=options["task"], using=options["database"])
