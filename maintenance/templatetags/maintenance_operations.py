"""What the ops page's templates need: buttons, durations, ages, sizes, links into other admins.

Django imports this wherever there are templates: the admin and the tasks are imported where they are used.
"""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django import template
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..units import human_duration, human_size

register = template.Library()


@register.simple_tag
def act(name: str, id: str, words: str | None = None) -> SafeString:
    """Return the link to an action's question about an object."""
    from ..operations.actions import ACTIONS

    action = ACTIONS[name]
    url = reverse("admin:maintenance_operations_action", args=[name])
    return format_html(
        '<a class="button ops-act" id="{}-{}" href="{}?{}">{}<span class="visually-hidden"> {}</span></a>',
        *(name, id, url, urlencode({"object": id}), action.label, words or id),
    )


@register.simple_tag
def changelist(label: str, perms: Any) -> str:
    """Return the URL of a model's list in the admin; nothing where the user may not see it, or there is none."""
    from django.contrib import admin

    app, _, model = label.lower().partition(".")
    known = any(each._meta.label_lower == label.lower() for each in admin.site._registry)
    if not known or not (perms[app][f"view_{model}"] or perms[app][f"change_{model}"]):
        return ""
    try:
        return reverse(f"admin:{app}_{model}_changelist")
    except NoReverseMatch:
        return ""


@register.simple_tag(takes_context=True)
def paged(context: Any, number: int) -> str:
    """Return the query of another page of the schedules."""
    return _query(context, p=str(number))


@register.simple_tag(takes_context=True)
def turned(context: Any, refreshes: bool) -> str:
    """Return the query of the same page that does not refresh itself, or does again."""
    return _query(context, refresh="off" if refreshes else None)


@register.filter
def seconds(value: float | None) -> str:
    """Return seconds as people write them."""
    if value is None:
        return "–"
    return f"{value:.2f} s" if value < 60 else human_duration(round(value))


@register.filter
def away(moment: datetime | None, now: datetime) -> str:
    """Return how far a time is from now: `in 5m`, `2h ago`."""
    if moment is None:
        return "–"
    distance = (moment - now).total_seconds()
    words = human_duration(round(abs(distance)))
    return f"in {words}" if distance > 0 else f"{words} ago"


@register.filter
def size(value: int) -> str:
    """Return bytes as people write them."""
    return human_size(value)


def _query(context: Any, **changes: str | None) -> str:
    query = context["request"].GET.copy()
    for name, value in changes.items():
        query.pop(name, None)
        if value is not None:
            query[name] = value
    return str(query.urlencode())
