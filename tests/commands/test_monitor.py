"""manage.py monitor, and the task maintenance.monitor: a look, and what is told of it."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from django.core import mail

from maintenance import tasks
from maintenance.health import checkup
from maintenance.health.base import Check, Figure
from maintenance.models import CheckState
from tests.conftest import ADMINS, Outcome

Run = Callable[..., Outcome]
pytestmark = pytest.mark.django_db


@dataclass
class Fake(Check):
    called: str
    trouble: str = field(default="", repr=False)
    cure: ClassVar[str] = "Start it."

    @property
    def key(self) -> str:
        return self.called

    @property
    def name(self) -> str:
        return self.called

    def ask(self) -> Iterable[str | Figure]:
        if self.trouble == "odd":
            raise RuntimeError("a mistake")
        if self.trouble:
            raise self.failed(self.trouble)
        return ["Answers."]


class Needy(Fake):
    needs = ("broker",)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Callable[..., None]:
    settings.ADMINS = ADMINS
    settings.MAINTENANCE = {"HEALTH": {"LOOKS": 1}}
    return lambda *checks: monkeypatch.setattr(checkup, "checks", lambda app, **options: list(checks))


def test_it_tells_what_changed_and_nothing_twice(run: Run, given: Callable[..., None]) -> None:
    given(Fake("broker", "refused."), Needy("workers"), Fake("cache"))
    found = (
        "FAILED         broker   refused. Start it.\n"
        "COULD NOT ASK  workers  Could not ask: first mend broker.\n"
        "1 ok, 1 failed, 1 could not ask.\n"
    )
    assert run("monitor") == (f"{found}Told of 1 change: 1 message sent, 0 waiting.\n", "", 1)
    assert run("monitor") == (f"{found}Told of 0 changes: 0 messages sent, 0 waiting.\n", "", 1)
    given(Fake("broker"), Needy("workers"), Fake("cache"))
    assert run("monitor") == ("3 ok.\nTold of 1 change: 1 message sent, 0 waiting.\n", "", 0)
    assert [each.subject.partition(",")[0] for each in mail.outbox] == [
        "[Django] FAILED: broker",
        "[Django] Recovered: broker",
    ]


def test_a_check_that_raises_what_it_should_not_is_told_and_the_others_go_on(
    run: Run, given: Callable[..., None]
) -> None:
    given(Fake("strange", "odd"), Fake("cache", "gone."))
    out, _, code = run("monitor", "--json")
    document = json.loads(out)
    assert (document["changed"], document["sent"], document["waiting"], code) == (["strange", "cache"], 2, 0, 1)
    assert list(document) == ["schema_version", "changed", "sent", "waiting", "checks"]
    assert mail.outbox[0].subject == "[Django] COULD NOT ASK: strange"


def test_nobody_to_tell_keeps_the_state_and_writes_no_message(
    run: Run, given: Callable[..., None], settings: Any
) -> None:
    settings.ADMINS = []
    given(Fake("cache", "gone."))
    assert run("monitor")[0].endswith("Told of 1 change: 0 messages sent, 0 waiting.\n")
    assert CheckState.objects.get().state == "failed"


@pytest.mark.parametrize("url", ["ftp://h/s3cret", "s3cret", "http://", "https:///s3cret"])
def test_an_address_that_is_none_is_refused_and_not_repeated(run: Run, settings: Any, url: str) -> None:
    settings.MAINTENANCE = {"HEALTH": {"WEBHOOKS": [url]}}
    assert run("monitor") == (
        "",
        "CommandError: MAINTENANCE[\"HEALTH\"]['WEBHOOKS'] is '**': "
        "it must be a list of http or https addresses of at most 500 characters.\n",
        2,
    )


def test_the_task_does_the_same(given: Callable[..., None]) -> None:
    given(Fake("cache", "gone."), Fake("workers", "None answers."))
    assert tasks.monitor() == {"states": {"failed": 2}, "changed": ["cache", "workers"], "sent": 2, "waiting": 0}


def test_in_a_worker_it_does_not_believe_that_none_answers(given: Callable[..., None]) -> None:
    given(Fake("cache", "gone."), Fake("workers", "None answers."))
    answer = tasks.monitor.apply().get()
    assert answer == {"states": {"failed": 2}, "changed": ["cache"], "sent": 1, "waiting": 0}
