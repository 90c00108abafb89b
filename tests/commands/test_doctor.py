"""manage.py doctor"""

import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from django.core.management import call_command

from maintenance.health import checkup
from maintenance.health.base import Check, CouldNotAsk, Figure
from maintenance.health.checks import Clock
from maintenance.health.rules import RULES
from maintenance.management import health
from tests.celery import app as celery
from tests.conftest import Outcome

Run = Callable[..., Outcome]


@dataclass
class Fake(Check):
    called: str
    error: Exception | str | None = field(default=None, repr=False)
    consequence: ClassVar[str] = "Nothing works."
    cure: ClassVar[str] = "Start it."

    @property
    def key(self) -> str:
        return self.called

    @property
    def name(self) -> str:
        return self.called

    def ask(self) -> Iterable[str | Figure]:
        if isinstance(self.error, str):
            raise self.failed(self.error)
        if self.error:
            raise self.error
        return ["Answers."]


QUIET = [id for id in RULES if id != "old-queues-name"]
NOTHING = "1 rule and the system checks find nothing."


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Callable[..., dict[str, Any]]:
    """Give doctor these live checks and a single rule."""
    settings.SILENCED_SYSTEM_CHECKS = QUIET

    def asker(*checks: Check) -> dict[str, Any]:
        given: dict[str, Any] = {}

        def fakes(app: Any, **options: Any) -> list[Check]:
            given.update(options, app=app.main)
            return list(checks)

        monkeypatch.setattr(checkup, "checks", fakes)
        monkeypatch.setattr(health, "doctors", lambda app, wait: [])
        return given

    return asker


def test_a_healthy_stack(run: Run, asked: Callable[..., dict[str, Any]]) -> None:
    given = asked(Fake("broker"), Fake("round trip"))
    assert run("doctor", "--wait=2m") == (
        "ok             broker      Answers.\n"
        "ok             round trip  Answers.\n"
        f"ok             settings    {NOTHING}\n"
        "3 ok.\n",
        "",
        0,
    )
    assert (given["app"], given["stack"].databases, list(given["stack"].caches), given["wait"]) == (
        "tests", ("default",), ["default"], 119.5,
    )  # fmt: skip


def test_a_sick_one_says_consequence_and_cure(run: Run, asked: Callable[..., dict[str, Any]], settings: Any) -> None:
    settings.CELERY_QUEUES = []
    asked(Fake("broker", "refused."), Fake("worker", CouldNotAsk("Could not ask.")), Fake("cache"))
    assert run("doctor") == (
        "FAILED         broker           refused. Nothing works. Start it.\n"
        "COULD NOT ASK  worker           Could not ask.\n"
        "ok             cache            Answers.\n"
        "warning        old-queues-name  CELERY_QUEUES is the old name of CELERY_TASK_QUEUES. Beside the new name "
        "it is ignored: its queues do not exist. Rename CELERY_QUEUES to CELERY_TASK_QUEUES.\n"
        "1 ok, 1 warning, 1 failed, 1 could not ask.\n",
        "",
        1,
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("flags", "environ"), [(["--no-color"], {}), ([], {"NO_COLOR": "1"}), ([], {})])
def test_a_terminal_gets_a_table_and_colour_only_where_wanted(
    asked: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, flags: list[str], environ: dict[str, str]
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, text in {"COLUMNS": "100", "TERM": "xterm", **environ}.items():
        monkeypatch.setenv(name, text)
    asked(Fake("broker", "refused."), Fake("cache"))
    terminal = Terminal()
    with pytest.raises(SystemExit):
        call_command("doctor", *flags, stdout=terminal)
    drawn = terminal.getvalue()
    plain = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", drawn).splitlines()]
    assert plain == [
        "State   Check     What was found",
        "FAILED  broker    refused. Nothing works. Start it.",
        "ok      cache     Answers.",
        f"ok      settings  {NOTHING}",
        "2 ok, 1 failed.",
    ]
    assert ("\x1b[32m" in drawn) is (not flags and not environ)


@pytest.mark.parametrize(("error", "healthy"), [(None, True), (CouldNotAsk("Nobody."), False)])
def test_json_is_one_document_and_not_asked_is_never_healthy(
    run: Run, asked: Callable[..., dict[str, Any]], settings: Any, error: Exception | None, healthy: bool
) -> None:
    settings.SILENCED_SYSTEM_CHECKS = [*QUIET, "maintenance.W002"]
    settings.CELERY_QUEUES = []
    asked(Fake("broker", error))
    out, err, code = run("doctor", "--json")
    message, state = ("Answers.", "ok") if healthy else ("Nobody.", "unknown")
    blank = {"consequence": "", "cure": ""}
    assert (list(json.loads(out).items()), err, code) == (
        [
            ("schema_version", 1),
            ("healthy", healthy),
            ("deploy", False),
            (
                "checks",
                [
                    {"id": "broker", "title": "broker", "state": state, "message": message, **blank},
                    {
                        "id": "settings",
                        "title": "settings",
                        "state": "ok",
                        "message": NOTHING.replace("1 rule", "0 rules"),
                        **blank,
                    },
                ],
            ),
        ],
        "",
        0 if healthy else 1,
    )


def test_an_app_that_is_not_there_is_a_wrong_configuration(
    run: Run, asked: Callable[..., dict[str, Any]], settings: Any
) -> None:
    asked()
    settings.MAINTENANCE = {"WORKER": {"APP": "nowhere"}}
    assert run("doctor") == (
        "",
        "CommandError: No Celery app was found (nowhere: No module named 'nowhere'). "
        'Pass -A package, or set MAINTENANCE["WORKER"]["APP"] = "package".\n',
        2,
    )


def test_a_warning_fails_only_when_asked_to(run: Run, asked: Callable[..., dict[str, Any]], settings: Any) -> None:
    settings.CELERY_QUEUES = []
    asked()
    assert [run("doctor", *flags)[2] for flags in ([], ["--fail-on=error"], ["--fail-on=warning"])] == [0, 0, 1]


def test_production_rules_are_asked_only_with_deploy(
    run: Run, asked: Callable[..., dict[str, Any]], settings: Any
) -> None:
    settings.SILENCED_SYSTEM_CHECKS = [id for id in RULES if id != "debug-on"]
    settings.DEBUG = True
    asked()
    assert run("doctor")[2] == 0
    assert run("doctor", "--deploy") == (
        "FAILED         debug-on  DEBUG is on. A worker remembers every SQL query until it dies of memory; error "
        "pages show settings to anybody. Set DEBUG = False.\n1 failed.\n",
        "",
        1,
    )


def test_a_tag_asks_only_what_has_it(run: Run, asked: Callable[..., dict[str, Any]]) -> None:
    asked(Fake("broker"), Fake("cache"), Fake("cache:other"), Fake("database"))
    assert run("doctor", "--tag", "cache", "names") == (
        "ok             cache        Answers.\n"
        "ok             cache:other  Answers.\n"
        "ok             settings     1 rule finds nothing.\n"
        "3 ok.\n",
        "",
        0,
    )


def test_an_unknown_tag_or_id_suggests_the_nearest(run: Run) -> None:
    assert run("doctor", "--tag", "brokr") == ("", "CommandError: There is no tag 'brokr'. Did you mean 'broker'?\n", 2)
    assert run("doctor", "--explain", "pickle-acepted") == (
        "",
        "CommandError: There is no rule or check 'pickle-acepted'. Did you mean 'pickle-accepted'?\n",
        2,
    )
    assert run("doctor", "--explain", "x")[1:] == (
        "CommandError: There is no rule or check 'x'. Known: docs/rules.md lists them.\n",
        2,
    )


@pytest.mark.parametrize("id", ["old-queues-name", "maintenance.old-queues-name", "maintenance.W002"])
def test_explain_says_why_and_what_is_found_here(run: Run, settings: Any, id: str) -> None:
    said = (
        "old-queues-name (warning, tag names, maintenance.W002 of `manage.py check`)\n"
        "Beside the new name it is ignored: its queues do not exist.\n"
        'It is Celery 3\'s name of task_queues. Source: Celery, Configuration, "New lowercase settings".\n'
    )
    assert run("doctor", "--explain", id) == (f"{said}Here: nothing is wrong.\n", "", 0)
    settings.CELERY_QUEUES = []
    here = "Here: CELERY_QUEUES is the old name of CELERY_TASK_QUEUES. Rename CELERY_QUEUES to CELERY_TASK_QUEUES.\n"
    assert run("doctor", "--explain", id) == (f"{said}{here}", "", 0)


def test_explain_of_a_live_check_asks_it_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "checks", lambda app, **options: [Clock(timedelta(days=1)), Fake("broker", "Silent.")])
    said = (
        "clock (live check, tag clock)\n"
        "Well is: The clocks of this host and of the default database differ by little.\n"
    )
    out, err, code = run("doctor", "--explain", "clock")
    assert out.startswith(said)
    assert re.search(r"^Here: ok\. .+$", out, re.M)
    assert ("Silent" in out, err, code) == (False, "", 0)
    document = json.loads(run("doctor", "--explain", "clock", "--json")[0])
    assert (document["id"], document["severity"], document["tag"], document["found"]) == ("clock", None, "clock", [])


def test_explain_of_a_live_check_that_nothing_here_needs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "checks", lambda app, **options: [])
    assert run("doctor", "--explain", "redis.policy")[0].endswith("\nHere: nothing needs it.\n")


def test_what_a_live_check_found_no_rule_says_again(
    run: Run, asked: Callable[..., dict[str, Any]], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fake, "rules", ("old-queues-name",))
    settings.CELERY_QUEUES = []
    asked(Fake("names", "Old."))
    assert run("doctor")[0].count("old-queues-name") == 0
    asked(Fake("names"))
    assert run("doctor")[0].count("old-queues-name") == 1


def test_explain_as_json(run: Run) -> None:
    out, err, code = run("doctor", "--explain", "debug-on", "--json")
    document = json.loads(out)
    assert list(document) == [
        "schema_version",
        "id",
        "severity",
        "tag",
        "deploy",
        "check",
        "consequence",
        "reason",
        "found",
    ]
    assert (document["id"], document["deploy"], document["found"], err, code) == ("debug-on", True, [], "", 0)


def test_a_setting_of_a_strange_shape_is_never_fine(
    run: Run, asked: Callable[..., dict[str, Any]], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SILENCED_SYSTEM_CHECKS = [id for id in RULES if id != "publish-retry-unbounded"]
    monkeypatch.setitem(celery.conf, "task_publish_retry_policy", "often")
    asked()
    out, err, code = run("doctor")
    assert (out.split("  ")[0], out.splitlines()[-1], err, code) == ("COULD NOT ASK", "1 could not ask.", "", 1)
