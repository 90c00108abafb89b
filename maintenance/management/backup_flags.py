"""The flags that commands of backups share."""

from typing import Final

from django.core.management.base import CommandParser

from maintenance import units
from maintenance.management.base import add_json, value

VERIFY: Final = ("none", "hash", "restore")
KEEP: Final = {
    "last": "the newest N",
    "hourly": "the newest of each of N hours that have one",
    "daily": "the newest of each of N days that have one",
    "weekly": "the newest of each of N weeks that have one",
    "monthly": "the newest of each of N months that have one",
    "yearly": "the newest of each of N years that have one",
}


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
