"""The schedules a page at a time: their names, however many there are."""

from dataclasses import dataclass
from typing import Literal

from django.core.paginator import Paginator
from django.db.models import Q
from django_celery_beat.models import PeriodicTask

Only = Literal["", "enabled", "disabled"]


@dataclass(frozen=True)
class Page:
    """The names on a page, and which page it is of how many."""

    names: tuple[str, ...]
    number: int
    pages: int
    total: int


def page(*, using: str, number: str | int, size: int, search: str = "", only: str = "") -> Page:
    """Return the page ``number``, or the nearest one that there is, of those whose name or task contains ``search``."""
    rows = PeriodicTask.objects.using(using).order_by("name")
    if search:
        rows = rows.filter(Q(name__icontains=search) | Q(task__icontains=search))
    if only in ("enabled", "disabled"):
        rows = rows.filter(enabled=only == "enabled")
    paginator = Paginator(rows.values_list("name", flat=True), size)
    found = paginator.get_page(number)
    return Page(tuple(found.object_list), found.number, paginator.num_pages, paginator.count)
