"""/healthz/live, /healthz/ready, /healthz/ and /metrics: within a second, whatever hangs.

Nothing here touches a service in the request's own thread: the session of a member of staff is looked up beside the
checks, once the database has answered, and under the same deadline.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template import Context, Engine
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.generic import View
from health_check.base import HealthCheck, HealthCheckResult
from health_check.views import HealthCheckView, MediaType

from . import access, conf
from .errors import MaintenanceError
from .health import checkup, openmetrics, runner
from .health.base import FAILED, OK, WARNING, Check, Figure
from .health.runner import Answer, Finding
from .management import health
from .management.found import celery_app

DEADLINE: Final = 0.8
WAIT: Final = 0.5
_KINDS: Final = {
    "text/plain": "text",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/*": "html",
    "*/*": "html",
    "application/json": "json",
    "application/*": "json",
    "application/atom+xml": "atom",
    "application/rss+xml": "rss",
    "application/openmetrics-text": "openmetrics",
}
# A host project may have no template engine at all.
_PAGE: Final = Engine(dirs=[str(Path(__file__).parent / "templates")])


@never_cache
@transaction.non_atomic_requests
def live(request: HttpRequest) -> HttpResponse:
    """Answer: the process is up, and serves. Nothing else is asked."""
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8")


@dataclass(repr=False)
class Settings(Check):
    """What is wrong with the settings, so that nothing else could be asked."""

    error: MaintenanceError
    id: ClassVar[str] = "settings"
    title: ClassVar[str] = "settings"

    def ask(self) -> Iterator[str | Figure]:
        yield from ()
        raise self.failed(self.error.message, cure=self.error.cure)


@method_decorator(transaction.non_atomic_requests, name="dispatch")
class Health(HealthCheckView):  # type: ignore[misc] # untyped
    """Every check. Who may not see details hears whether all is well."""

    answers: list[Answer]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer at once: django-health-check's own is asynchronous, and its executor waits for what hangs."""
        response = View.dispatch(self, request, *args, **kwargs)
        patch_vary_headers(response, ["Accept", "Authorization", "Cookie"])
        add_never_cache_headers(response)
        # Django would log each answer of 500 as an error, and mail it to the admins, every few seconds.
        response._has_been_logged = True  # type: ignore[attr-defined]
        return response

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Ask all checks under one deadline."""
        kind = self.kind()
        if kind is None:
            kinds = ", ".join(name for name in _KINDS if "*" not in name)
            return HttpResponse(f"Not Acceptable: {kinds}\n", status=406, content_type="text/plain")
        detailed = self.survey()
        return self.detailed(kind) if detailed else self.brief(kind)

    def get_checks(self) -> Iterable[HealthCheck]:
        """Return the checks of this project; where its settings are wrong, that finding only."""
        try:
            return self.chosen()
        except MaintenanceError as error:
            return [Settings(error)]

    def chosen(self) -> list[Check]:
        """Return the checks of this view. Raises MaintenanceError."""
        return health.checks(celery_app().app, wait=WAIT)

    def survey(self) -> bool:
        """Ask the checks; return whether the client may see details."""
        checks = list(self.get_checks())
        token = access.shows_token(self.request)
        asked: list[HealthCheck] = [*checks]
        if token is None and settings.SESSION_COOKIE_NAME in self.request.COOKIES:
            asked.append(access.Staff(self.request))
        found = runner.survey(asked, deadline=DEADLINE, secrets=_secrets())
        self.answers = found[: len(checks)]
        self.results = [
            HealthCheckResult(check=check, error=runner.as_error(each.finding), time_taken=each.seconds)
            for check, each in zip(checks, self.answers, strict=True)
        ]
        return bool(token) or any(each.finding.state == OK for each in found[len(checks) :])

    @property
    def state(self) -> str:
        """What all findings amount to."""
        states = {answer.finding.state for answer in self.answers}
        if states <= {OK}:
            return OK
        return WARNING if states <= {OK, WARNING} else FAILED

    @property
    def code(self) -> int:
        """django-health-check's: 500 where something is ill, so that its command works here."""
        if self.state == OK:
            return 200
        if self.state == WARNING:
            try:
                return 500 if conf.get().health.warnings_as_errors else 200
            except MaintenanceError:
                return 500
        return 500

    def kind(self) -> str | None:
        """Return the form that the client wants: ?format=, else its Accept header; None when it is none of ours."""
        asked: str | None = self.request.GET.get("format")
        if asked in _KINDS.values():
            return asked
        try:
            accepted = [media.mime_type for media in MediaType.parse_header(self.request.headers.get("Accept", "*/*"))]
        except ValueError:
            accepted = ["*/*"]
        return next((_KINDS[each] for each in accepted if each in _KINDS), None)

    def brief(self, kind: str) -> HttpResponse:
        """Return the state, and nothing else."""
        if kind == "json":
            return JsonResponse({"status": self.state}, status=self.code)
        return HttpResponse(f"{self.state}\n", status=self.code, content_type="text/plain; charset=utf-8")

    def detailed(self, kind: str) -> HttpResponseBase:
        """Return every finding, in django-health-check's own forms."""
        renderers: dict[str, Any] = {
            "json": lambda: self.render_to_response_json(self.code),
            "text": lambda: self.render_to_response_text(self.code),
            "atom": self.render_to_response_atom,
            "rss": self.render_to_response_rss,
            "openmetrics": lambda: _metrics(self.answers),
            "html": lambda: HttpResponse(_page(self.state, self.answers), status=self.code),
        }
        response: HttpResponseBase = renderers[kind]()
        return response


class Ready(Health):
    """What nothing can be served without."""

    def chosen(self) -> list[Check]:
        """Return the few checks of it."""
        return checkup.essential(celery_app().app)


class Metrics(Health):
    """Every check and figure as OpenMetrics, for who shows the token, and for staff."""

    def kind(self) -> str | None:
        """There is one form."""
        return "openmetrics"

    def brief(self, kind: str) -> HttpResponse:
        """Refuse: figures are details."""
        text = 'Send the bearer token of MAINTENANCE["HEALTH"]["TOKEN"].\n'
        response = HttpResponse(text, status=401, content_type="text/plain; charset=utf-8")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response


def _metrics(answers: Iterable[Answer]) -> HttpResponse:
    # 200 whatever they say, as Prometheus expects.
    return HttpResponse(openmetrics.render(answers), content_type=openmetrics.CONTENT_TYPE)


def _page(state: str, answers: Iterable[Answer]) -> str:
    findings: list[Finding] = [answer.finding for answer in answers]
    return _PAGE.get_template("maintenance/health.html").render(Context({"state": state, "findings": findings}))


def _secrets() -> list[str]:
    try:
        return health.secrets(celery_app().app)
    except MaintenanceError:
        return []
