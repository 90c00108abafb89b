"""/healthz/ and /metrics: who sees what, in which form, with which status."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import include, path
from health_check.views import HealthCheckView

from maintenance.health import checkup
from maintenance.health.base import Check, Figure

TOKEN = "a token with ümläuts"

urlpatterns = [
    path("", include("maintenance.urls")),
    path("theirs/", HealthCheckView.as_view(checks=["maintenance.health.checks.Database"]), name="theirs"),
]


@pytest.fixture(autouse=True)
def _urls(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__  # the smallest host project serves nothing


@dataclass(repr=False)
class Fake(Check):
    called: str
    act: Callable[["Fake"], Iterable[str | Figure]] = field(compare=False)

    @property
    def key(self) -> str:
        return self.called

    @property
    def name(self) -> str:
        return self.called.title()

    def ask(self) -> Iterable[str | Figure]:
        return self.act(self)


def well(check: Fake) -> Iterable[str | Figure]:
    return ["Fine.", Figure("queue_messages", 3, {"queue": 'a "b"'})]


def doubtful(check: Fake) -> Iterable[str | Figure]:
    raise check.warning("Nearly.", consequence="It hurts.", cure="<Mend> it.")


def ill(check: Fake) -> Iterable[str | Figure]:
    raise check.failed("Broken.")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Callable[..., None]:
    settings.MAINTENANCE = {"HEALTH": {"TOKEN": TOKEN}}

    def asker(**acts: Callable[[Fake], Iterable[str | Figure]]) -> None:
        fakes = [Fake(name, act) for name, act in acts.items()]
        monkeypatch.setattr(checkup, "checks", lambda *args, **options: fakes)

    return asker


def get(url: str, *, token: str | None = TOKEN, **headers: str) -> Any:
    shown = {} if token is None else {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    return Client().get(url, **shown, **headers)  # type: ignore[arg-type]


def test_live_asks_nothing(asked: Callable[..., None]) -> None:
    asked(broken=ill)
    answer = get("/healthz/live", token=None)
    assert (answer.status_code, answer.content, "no-store" in answer["Cache-Control"]) == (200, b"ok\n", True)


@pytest.mark.parametrize(
    ("acts", "status", "code"),
    [
        ({"a": well}, "ok", 200),
        ({"a": well, "b": doubtful}, "warning", 200),
        ({"a": ill, "b": doubtful}, "failed", 500),
    ],
)
def test_the_world_hears_the_status_only(asked: Callable[..., None], acts: Any, status: str, code: int) -> None:
    asked(**acts)
    plain = get("/healthz/", token=None)
    assert (plain.status_code, plain.content.decode()) == (code, f"{status}\n")
    as_json = get("/healthz/", token="wrong", HTTP_ACCEPT="application/json")
    assert (as_json.status_code, as_json.json()) == (code, {"status": status})


def test_warnings_may_count_as_errors(asked: Callable[..., None], settings: Any) -> None:
    asked(a=doubtful)
    settings.MAINTENANCE = {"HEALTH": {"WARNINGS_AS_ERRORS": True}}
    assert get("/healthz/", token=None).status_code == 500


def test_the_token_shows_everything_in_django_health_checks_forms(asked: Callable[..., None]) -> None:
    asked(a=well, b=doubtful)
    assert get("/healthz/?format=json").json() == {"a": "OK", "b": "Warning: Nearly. It hurts. <Mend> it."}
    assert get("/healthz/", HTTP_ACCEPT="text/plain").content.decode() == (
        "a: OK\nb: Warning: Nearly. It hurts. <Mend> it.\n"
    )
    page = get("/healthz/", HTTP_ACCEPT="text/html,*/*;q=0.1")
    assert page["Content-Type"] == "text/html; charset=utf-8"
    assert '<td>warning</td><th scope="row">B</th>' in page.content.decode()
    assert "Nearly. It hurts. <strong>&lt;Mend&gt; it.</strong>" in page.content.decode()
    assert get("/healthz/", HTTP_ACCEPT="image/png").status_code == 406
    assert get("/healthz/", HTTP_ACCEPT="nonsense").status_code == 200
    assert get("/healthz/?format=rss")["Content-Type"].startswith("application/rss+xml")
    assert get("/healthz/?format=atom")["Content-Type"].startswith("application/atom+xml")
    assert get("/healthz/?format=openmetrics").content.endswith(b"# EOF\n")
    assert {"Accept", "Authorization", "Cookie"} <= set(page["Vary"].split(", "))


@pytest.mark.parametrize("token", ["", "a token with umlauts", "a token with ümläut", "Ω", TOKEN + "x", "\udcff"])
def test_another_token_shows_nothing(asked: Callable[..., None], token: str) -> None:
    asked(a=well)
    assert get("/healthz/", token=token).content == b"ok\n"
    assert get("/metrics", token=token).status_code == 401


def test_a_token_is_read_as_servers_hand_it_over(asked: Callable[..., None]) -> None:
    asked(a=well)
    as_wsgi_does = TOKEN.encode().decode("latin-1")
    assert get("/healthz/?format=json", token=as_wsgi_does).json() == {"a": "OK"}


def test_without_a_token_in_the_settings_none_is_right(asked: Callable[..., None], settings: Any) -> None:
    asked(a=well)
    settings.MAINTENANCE = {}
    for token in ("", "None", TOKEN):
        assert get("/healthz/", token=token).content == b"ok\n"


def test_metrics(asked: Callable[..., None]) -> None:
    asked(a=well, b=ill)
    refused = get("/metrics", token=None)
    assert (refused.status_code, refused["WWW-Authenticate"], b"TOKEN" in refused.content) == (401, "Bearer", True)
    answer = get("/metrics")
    assert (answer.status_code, answer["Content-Type"]) == (
        200, "application/openmetrics-text; version=1.0.0; charset=utf-8",
    )  # fmt: skip
    lines = answer.content.decode().splitlines()
    for line in (
        'django_health_check_status{check="a"} 1',
        'django_health_check_status{check="b"} 0',
        "django_health_check_overall_status 0",
        'maintenance_check_state{check="b",state="failed"} 1',
        'maintenance_check_state{check="b",state="ok"} 0',
        "# TYPE maintenance_queue_messages gauge",
        'maintenance_queue_messages{queue="a \\"b\\""} 3',
    ):
        assert line in lines
    assert lines[-1] == "# EOF"
    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(families) == len(set(families))


@pytest.mark.parametrize(("staff", "active", "sees"), [(True, True, True), (False, True, False), (True, False, False)])
@pytest.mark.django_db(transaction=True)
def test_staff_see_details(asked: Callable[..., None], settings: Any, staff: bool, active: bool, sees: bool) -> None:
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    asked(a=well)
    client = Client()
    user = User.objects.create_user("ann", is_staff=staff)
    client.force_login(user)
    User.objects.filter(pk=user.pk).update(is_active=active)
    answer = client.get("/healthz/?format=json")
    assert answer.json() == ({"a": "OK"} if sees else {"status": "ok"})
    assert client.get("/metrics").status_code == (200 if sees else 401)


def test_wrong_settings_are_a_finding(settings: Any) -> None:
    settings.MAINTENANCE = {"NONSENSE": 1, "HEALTH": {"TOKEN": TOKEN}}
    for url in ("/healthz/", "/healthz/ready"):
        answer = get(url)
        assert (answer.status_code, answer.content) == (500, b"failed\n")
    assert get("/metrics").status_code == 401


@pytest.mark.django_db
def test_ready_is_database_migrations_and_broker(settings: Any) -> None:
    settings.MAINTENANCE = {"HEALTH": {"TOKEN": TOKEN}}
    answer = get("/healthz/ready?format=json")
    assert list(answer.json()) == ["database", "migrations", "broker"]


@pytest.mark.django_db(transaction=True)
def test_as_a_view_and_with_the_command_of_django_health_check(
    asked: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    from health_check.management.commands.health_check import Command

    asked(a=well, b=doubtful)
    command = Command()
    with pytest.raises(SystemExit) as ended:
        command.run_from_argv(["manage.py", "health_check", "maintenance:health", "--no-http"])
    assert ended.value.code == 1
    assert capsys.readouterr().out == "a: OK\nb: Warning: Nearly. It hurts. <Mend> it.\n"
    theirs = get("/theirs/?format=json")
    assert (theirs.status_code, theirs.json()) == (200, {"database": "OK"})
    assert json.loads(theirs.content)
