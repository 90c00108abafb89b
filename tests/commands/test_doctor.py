"""manage.py doctor"""

import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from django.core.management import call_command

from maintenance.health import checkup
from maintenance.health.base import Check, CouldNotAsk, Figure
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


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    def asker(*checks: Check) -> dict[str, Any]:
        given: dict[str, Any] = {}

        def fakes(app: Any, **options: Any) -> list[Check]:
            given.update(options, app=app.main)
            return list(checks)

        monkeypatch.setattr(checkup, "checks", fakes)
        return given

    return asker


def test_a_healthy_stack(run: Run, asked: Callable[..., dict[str, Any]]) -> None:
    given = asked(Fake("broker"), Fake("round trip"))
    assert run("doctor", "--wait=2m") == (
        "ok             broker      Answers.\n"
        "ok             round trip  Answers.\n"
        "ok             settings    The system checks find nothing.\n"
        "3 ok.\n",
        "",
        0,
    )
    assert (given["app"], given["stack"].databases, list(given["stack"].caches), given["wait"]) == (
        "tests", ("default",), ["default"], 120,
    )  # fmt: skip


def test_a_sick_one_says_consequence_and_cure(run: Run, asked: Callable[..., dict[str, Any]], settings: Any) -> None:
    settings.CELERY_QUEUES = []
    asked(Fake("broker", "refused."), Fake("worker", CouldNotAsk("Could not ask.")), Fake("cache"))
    assert run("doctor") == (
        "FAILED         broker            refused. Nothing works. Start it.\n"
        "COULD NOT ASK  worker            Could not ask.\n"
        "ok             cache             Answers.\n"
        "warning        maintenance.W002  CELERY_QUEUES is the old name of CELERY_TASK_QUEUES. "
        "Rename CELERY_QUEUES to CELERY_TASK_QUEUES.\n"
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
        "ok      settings  The system checks find nothing.",
        "2 ok, 1 failed.",
    ]
    assert ("\x1b[32m" in drawn) is (not flags and not environ)


@pytest.mark.parametrize(("error", "healthy"), [(None, True), (CouldNotAsk("Nobody."), False)])
def test_json_is_one_document_and_not_asked_is_never_healthy(
    run: Run, asked: Callable[..., dict[str, Any]], settings: Any, error: Exception | None, healthy: bool
) -> None:
    settings.SILENCED_SYSTEM_CHECKS = ["maintenance.W002"]
    settings.CELERY_QUEUES = []
    asked(Fake("broker", error))
    out, err, code = run("doctor", "--json")
    message, state = ("Answers.", "ok") if healthy else ("Nobody.", "unknown")
    blank = {"consequence": "", "cure": ""}
    assert (list(json.loads(out).items()), err, code) == (
        [
            ("schema_version", 1),
            ("healthy", healthy),
            (
                "checks",
                [
                    {"id": "broker", "title": "broker", "state": state, "message": message, **blank},
                    {
                        "id": "settings",
                        "title": "settings",
                        "state": "ok",
                        "message": "The system checks find nothing.",
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
