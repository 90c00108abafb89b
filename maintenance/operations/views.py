"""The page and its actions over HTTP. The admin wraps them: staff only, CSRF, never cached."""

from functools import partial
from typing import Any, Final

from celery import Celery
from django.apps import apps
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone

from ..errors import MaintenanceError
from ..health import runner
from ..management import backups as planning
from ..management import health
from ..management.found import celery_app
from ..models import Operations
from ..results import history
from ..schedules.moments import aware
from . import page
from .actions import ACTIONS, Action, Target, places

# Seconds that workers have to answer.
_WORKERS_WAIT: Final = 0.5
_TEMPLATES = "admin/maintenance/operations"
_HOME = "admin:maintenance_operations_changelist"


def show(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Answer with the page; with only its live part where htmx asks for it."""
    _require(request, Operations.VIEW)
    query = request.GET
    search = query.get("q", "").replace("\0", "").strip()[:200]
    wanted = page.Wanted(query.get("p", "1"), search, query.get("only", ""))
    try:
        found = celery_app()
        context |= page.gather(
            wanted,
            checks=partial(_survey, found.app),
            destinations=planning.destinations(),
            now=aware(timezone.now()),
        )
        context["broker"] = found.broker
    except MaintenanceError as error:
        context["trouble"] = str(error)
    context |= {
        "may_run": request.user.has_perm(Operations.RUN),
        "refreshes": query.get("refresh") != "off",
        "with_htmx": apps.is_installed("django_htmx"),
        "choices": (("", "All"), ("enabled", "Enabled"), ("disabled", "Disabled")),
        "title": "Operations",
    }
    live = "HX-Request" in request.headers
    return TemplateResponse(request, f"{_TEMPLATES}/{'live' if live else 'change_list'}.html", context)


def act(request: HttpRequest, context: dict[str, Any], *, name: str) -> HttpResponseBase:
    """Ask whether an action is meant (GET), or send its task and note who did it (POST)."""
    action = _known(request, name)
    try:
        target = _found(request, action)
        if request.method != "POST":
            context |= {"title": action.label, "action": action, "target": target, "question": action.ask(target)}
            return TemplateResponse(request, f"{_TEMPLATES}/confirm.html", context)
        if action.act is None:
            return _downloaded(request, target)
        sent = action.act(target, celery_app())
    except (MaintenanceError, OSError) as error:
        messages.error(request, str(error))
        return redirect(_HOME)
    note(request, target, f"Operations: {action.label} (task {sent}).")
    messages.success(request, f"{action.label}: {target.words}. It was sent as the task {sent}.")
    return redirect(_HOME)


def failure(request: HttpRequest, context: dict[str, Any], *, task_id: str) -> HttpResponse:
    """Answer with what a failed task left behind."""
    _require(request, Operations.VIEW)
    known = apps.is_installed("django_celery_results") and "\0" not in task_id
    found = history.failure(task_id) if known else None
    if found is None:
        raise Http404(f"No failed task has the id {task_id!r}.")
    context |= {"title": "Failed task", "failure": found, "may_run": request.user.has_perm(Operations.RUN)}
    return TemplateResponse(request, f"{_TEMPLATES}/failure.html", context)


def note(request: HttpRequest, target: Target, words: str) -> None:
    """Write into the admin's log who did what to which object."""
    user: Any = request.user
    label, key = target.row or ("maintenance.Operations", None)
    LogEntry.objects.create(
        user_id=user.pk,
        content_type=ContentType.objects.get_for_model(apps.get_model(label)),
        object_id=None if key is None else str(key),
        object_repr=target.words[:200],
        action_flag=CHANGE,
        change_message=words,
    )


def _survey(app: Celery) -> list[runner.Answer]:
    # Less than the page waits: a check that hangs is named, the others still show.
    asked = health.checks(app, wait=_WORKERS_WAIT)
    return runner.survey(asked, deadline=page.PATIENCE - 0.1, secrets=health.secrets(app))


def _downloaded(request: HttpRequest, target: Target) -> FileResponse:
    """Give a backup's file as it is stored; it is read while it is sent. Raises StorageFailed, OSError."""
    place = places(target.id)[0]
    file = place.entry.manifest.file
    content = place.destination.storage.open(file)
    note(request, target, "Operations: Download.")
    return FileResponse(content, as_attachment=True, filename=file, content_type="application/octet-stream")


def _known(request: HttpRequest, name: str) -> Action:
    _require(request, Operations.VIEW)
    _require(request, Operations.RUN)
    if name not in ACTIONS:
        raise Http404(f"There is no action {name!r}.")
    if ACTIONS[name].superuser and not getattr(request.user, "is_superuser", False):
        raise PermissionDenied
    return ACTIONS[name]


def _found(request: HttpRequest, action: Action) -> Target:
    given = request.POST if request.method == "POST" else request.GET
    name = given.get("object", "")
    target = None if "\0" in name else action.find(name)  # PostgreSQL refuses the character
    if target is None:
        raise Http404(f"There is nothing of this name to {action.label.lower()}.")
    return target


def _require(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied
