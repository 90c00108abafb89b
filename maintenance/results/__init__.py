"""Task results: which are kept, deleted, sent again, and what they tell. The one home of django-celery-results."""

from .archive import Archive
from .deletion import Counted, Purged, count, default_rest, purge
from .retention import DEFAULT_KEEP_FOR, UNDECLARED, Keeping, expires_of, keeping
from .rules import Rules, plan
from .runs import Finished, are_stored, last_ends, last_of_schedules, oldest, unfinished
from .space import Freed, blocks_writers, vacuum

__all__ = [
    "DEFAULT_KEEP_FOR",
    "UNDECLARED",
    "Archive",
    "Counted",
    "Finished",
    "Freed",
    "Keeping",
    "Purged",
    "Rules",
    "are_stored",
    "blocks_writers",
    "count",
    "default_rest",
    "expires_of",
    "keeping",
    "last_ends",
    "last_of_schedules",
    "oldest",
    "plan",
    "purge",
    "unfinished",
    "vacuum",
]
