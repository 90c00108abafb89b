"""A page with a button a pattern, and the JSON that tells what became of a task."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from celery.result import AsyncResult
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.http import require_GET, require_POST

from . import articles, schedules, tasks
from .access import example
from .forms import ArticleForm
from .models import Article, PageInfo

Result = AsyncResult[Any]


@dataclass(frozen=True)
class Pattern:
    """A way to start a task, with the words of its button."""

    name: str
    title: str
    meaning: str
    start: Callable[[HttpRequest], Result]


PATTERNS = {
    pattern.name: pattern
    for pattern in (
        Pattern(
            "delay",
            "delay()",
            "The short form: arguments, nothing else.",
            lambda request: tasks.multiply.delay(6, 7),
        ),
        Pattern(
            "apply-async",
            "apply_async()",
            "The long form: starts after a second, and is dropped when it could not start within a minute.",
            lambda request: tasks.multiply.apply_async((6, 7), countdown=1, expires=60),
        ),
        Pattern(
            "notify",
            "Retries",
            "Mails the site's own address; when the mail server fails, three retries after 2, 4 and 8 seconds.",
            lambda request: tasks.notify.delay(
                "Hello", "The notification task sent this.", settings.DEFAULT_FROM_EMAIL
            ),
        ),
        Pattern(
            "heavy",
            "A queue of its own",
            "Counts the primes below two million in the heavy_tasks queue, out of everybody's way.",
            lambda request: tasks.crunch.delay(2_000_000),
        ),
        Pattern(
            "chain",
            "A chain",
            "Fetches this page, parses it and stores what it found: three tasks, none waiting for another.",
            lambda request: tasks.update_page_info(request.build_absolute_uri(reverse("examples:index"))),
        ),
    )
}


@require_GET
@example
def index(request: HttpRequest) -> HttpResponse:
    """List the patterns with their buttons, and what their tasks have left behind."""
    context = {
        "patterns": PATTERNS.values(),
        "form": ArticleForm(),
        "articles": Article.objects.order_by("-pk")[:10],
        "pages": PageInfo.objects.order_by("-fetched_at")[:10],
        "kinds": schedules.KINDS,
        "crontabs": schedules.CRONTABS,
    }
    return render(request, "examples/index.html", context)


@require_GET
@example
def test(request: HttpRequest) -> HttpResponse:
    """Start a task of two seconds and answer at once."""
    return _json(tasks.add.delay(2, 3))


@require_GET
@example
def task(request: HttpRequest, task_id: str) -> HttpResponse:
    """Tell a task's status and result. PENDING is also Celery's word for an id that it never saw."""
    if not _is_task_id(task_id):
        cure = "Write the UUID that came back when the task was started."
        return JsonResponse({"error": f"{task_id[:60]!r} is not a task id. {cure}"}, status=400)
    result = Result(task_id)
    status, outcome = result.status, result.result
    failed = isinstance(outcome, BaseException)
    return JsonResponse(
        {
            "id": task_id,
            "status": status,
            "result": outcome if status == "SUCCESS" else None,
            "error": f"{type(outcome).__name__}: {outcome}" if failed else None,
        }
    )


@require_POST
@example
def start(request: HttpRequest, name: str) -> HttpResponse:
    """Start a pattern's task."""
    if name not in PATTERNS:
        raise Http404
    return _started(request, PATTERNS[name].start(request))


@require_POST
@example
def publish(request: HttpRequest) -> HttpResponse:
    """Create an article; the task that expands it is sent when the transaction is committed."""
    form = ArticleForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=400)
    article = articles.publish(title=form.cleaned_data["title"], body=form.cleaned_data["body"])
    if _wants_html(request):
        messages.success(request, f"Published {article.title!r}; its abbreviations are being expanded.")
        return redirect("examples:index")
    return JsonResponse({"article": article.pk}, status=201)


@require_POST
@example
def edit(request: HttpRequest, article_id: int) -> HttpResponse:
    """Change an article; its task has its id before the transaction is committed."""
    form = ArticleForm(request.POST, instance=get_object_or_404(Article, pk=article_id))
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=400)
    return _started(request, Result(articles.edit(article_id=article_id, **form.cleaned_data)))


@require_POST
@example
def expand(request: HttpRequest, article_id: int) -> HttpResponse:
    """Expand an article, by its id."""
    get_object_or_404(Article, pk=article_id)
    return _started(request, tasks.expand_abbreviations.delay(article_id))


@require_POST
@example
def count_view(request: HttpRequest, article_id: int) -> HttpResponse:
    """Count a view: the task's result is ignored, so there is no status to ask for."""
    get_object_or_404(Article, pk=article_id)
    sent = tasks.count_view.delay(article_id)
    if _wants_html(request):
        messages.success(request, "Counting a view. Its result is ignored: reload to see the number.")
        return redirect("examples:index")
    return JsonResponse({"id": sent.id})


def _started(request: HttpRequest, result: Result) -> HttpResponse:
    if not _wants_html(request):
        return _json(result)
    url = reverse("examples:task", args=[result.id])
    messages.success(request, format_html('Started. <a href="{}">Status of {}</a>', url, result.id))
    return redirect("examples:index")


def _json(result: Result) -> JsonResponse:
    url = reverse("examples:task", args=[result.id])
    return JsonResponse({"id": result.id, "status": result.status, "url": url})


def _wants_html(request: HttpRequest) -> bool:
    return request.get_preferred_type(["application/json", "text/html"]) == "text/html"


def _is_task_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
