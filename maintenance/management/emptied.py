"""The tables that maintenance deletes rows from: those whose space a vacuum gives back."""

from django.conf import settings

from maintenance import caches, results, sessions, space
from maintenance.models import Dispatch


def tables(using: str) -> tuple[str, ...]:
    """Return those that the database has: results, sessions, database caches, and what beat has still to send.

    Raises UnknownSessionEngine.
    """
    names = [
        *results.table_names(),
        *sessions.table_names(settings.SESSION_ENGINE),
        *caches.table_names(settings.CACHES),
        Dispatch._meta.db_table,
    ]
    return space.present(names, using=using)
