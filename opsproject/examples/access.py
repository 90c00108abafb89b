"""Who may start the examples' work, and what they are told when the broker is away."""

from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from kombu.exceptions import OperationalError

View = Callable[..., HttpResponse]

BROKER_AWAY = "The broker does not answer, so nothing was queued. Start it: `manage.py run_broker`, or see REDIS_URL."


def example(view: View) -> View:
    """Let staff in, and anybody while DEBUG: these views enqueue work. Answer 503 when the broker is away."""
    for_staff = staff_member_required(view)

    @wraps(view)
    def gate(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        try:
            return (view if settings.DEBUG else for_staff)(request, *args, **kwargs)
        except OperationalError:
            return JsonResponse({"error": BROKER_AWAY}, status=503)

    return gate
