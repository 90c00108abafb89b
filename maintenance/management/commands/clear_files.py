"""manage.py clear_files"""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from maintenance import conf, files, units
from maintenance.management.base import Command as BaseCommand
from maintenance.management.base import add_json, value


class Command(BaseCommand):
    help = 'Remove old files, only below the folders of MAINTENANCE["FILES"]["ROOTS"]; folders and links stay.'

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--root", nargs="+", action="extend", metavar="NAME", help="these (default: all that have an OLDER_THAN)")
        add("--older-than", type=value(units.duration), metavar="TIME", help="as 30d, since their last change")
        add("--pattern", metavar="GLOB", help="only names that match, as '*.tmp'; with a slash: paths below it")
        add("--dry-run", action="store_true", help="only count")
        add_json(parser)

    def handle(
        self,
        *,
        root: list[str] | None,
        older_than: timedelta | None,
        pattern: str | None,
        dry_run: bool,
        json: bool,
        **options: Any,
    ) -> None:
        sweeps = files.plan(
            roots=conf.get().files.roots, names=root, older_than=older_than, pattern=pattern, now=timezone.now()
        )
        done = [files.count(sweep) if dry_run else files.clear(sweep) for sweep in sweeps]
        if json:
            self.document(dry_run=dry_run, roots=[asdict(each) for each in done])
        for each in () if json else done:
            found = f"{units.counted(each.files, 'file')} ({units.human_size(each.bytes)})"
            age = f"from before {each.before.isoformat(sep=' ', timespec='seconds')}"
            did = "Would remove" if dry_run else "Removed"
            self.answer(f"{did} {found} {age} that match {each.pattern!r} below {each.path!r} ({each.root}).")
        if not done and not json:
            self.answer('Nothing to do: no root of MAINTENANCE["FILES"]["ROOTS"] has an OLDER_THAN.')
        files.complain(done)
