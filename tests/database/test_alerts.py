"""Alerts: who is told what, once, whatever the receivers do."""

import logging
import smtplib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import mail

from maintenance import ping
from maintenance.health import alerts
from maintenance.health.alerts import Channel, Delivered, Origin
from maintenance.health.runner import Finding
from maintenance.models import Alert, CheckState
from tests.conftest import ADMINS
from tests.monitor import Monitor
from tests.servers import free_port

pytestmark = pytest.mark.django_db

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BROKEN = Finding("broker", "broker", "failed", "redis://:**@h does not answer.", "No task can be sent.", "Start <it>.")
WELL = Finding("broker", "broker", "ok", "It answers.")


@pytest.fixture
def hook() -> Iterator[Monitor]:
    server = Monitor()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _somebody(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ADMINS = ADMINS
    monkeypatch.setattr(ping, "SECONDS", 1.0)
    monkeypatch.setattr(ping.send, "__kwdefaults__", {"document": None, "seconds": 1.0})


def look(*findings: Finding, at: datetime = NOW, to: list[Channel] | None = None, looks: int = 1) -> list[str]:
    to = alerts.channels(admins=["ann"], webhooks=[]) if to is None else to
    return alerts.record(
        findings, now=at, looks=looks, remind_after=timedelta(hours=6), to=to, origin=Origin("shop", "web1")
    )


def test_a_change_is_a_mail_and_a_post(hook: Monitor) -> None:
    to = alerts.channels(admins=["ann"], webhooks=[hook.url, hook.url])
    assert look(BROKEN, to=to) == ["broker"]
    assert alerts.deliver(to, now=NOW, seconds=10) == Delivered(sent=2, waiting=0)
    (alert,) = hook.posted
    assert alert == {
        "schema_version": 1,
        "id": str(Alert.objects.values_list("change", flat=True).first()),
        "kind": "failing",
        "check": "broker",
        "title": "broker",
        "state": "failed",
        "before": "ok",
        "since": "2030-01-01T12:00:00+00:00",
        "at": "2030-01-01T12:00:00+00:00",
        "message": "redis://:**@h does not answer.",
        "consequence": "No task can be sent.",
        "cure": "Start <it>.",
        "project": "shop",
        "host": "web1",
        "subject": "FAILED: broker",
        "text": "*shop*: FAILED: broker\nredis://:**@h does not answer. No task can be sent. Start &lt;it&gt;.",
    }
    (sent,) = mail.outbox
    assert (sent.subject, sent.to) == ("[Django] FAILED: broker", ["ann@example.com"])
    assert sent.body == (
        "redis://:**@h does not answer.\nNo task can be sent.\nStart <it>.\n\n"
        "shop on web1, 2030-01-01T12:00:00+00:00. Since 2030-01-01T12:00:00+00:00. "
        f"Alert {alert['id']}."
    )
    assert alerts.deliver(to, now=NOW, seconds=10) == Delivered(sent=0, waiting=0)


def test_still_failing_and_recovered_say_for_how_long() -> None:
    to = alerts.channels(admins=["ann"], webhooks=[])
    times = [NOW, NOW + 60 * MINUTE, NOW + 360 * MINUTE, NOW + 395 * MINUTE]
    told = [look(found, at=at) for at, found in zip(times, [BROKEN, BROKEN, BROKEN, WELL], strict=True)]
    assert told == [["broker"], [], ["broker"], ["broker"]]
    assert alerts.deliver(to, now=times[-1], seconds=10) == Delivered(sent=3, waiting=0)
    assert [each.subject for each in mail.outbox] == [
        "[Django] FAILED: broker",
        "[Django] FAILED: broker, for 6h now",
        "[Django] Recovered: broker, after 6h35m",
    ]


def test_a_monitor_that_was_slower_tells_nothing() -> None:
    def slower(finding: Finding) -> Iterator[Finding]:
        assert look(BROKEN) == ["broker"]  # after the slower one has read what is known
        yield finding

    assert look(*[]) == []
    to = alerts.channels(admins=["ann"], webhooks=[])
    facts: dict[str, Any] = {"looks": 1, "remind_after": MINUTE, "to": to, "origin": Origin("shop", "web2")}
    assert alerts.record(slower(BROKEN), now=NOW, **facts) == []
    CheckState.objects.update(state="ok", seen="ok", told=None)
    assert alerts.record(slower(BROKEN), now=NOW, **facts) == []
    assert Alert.objects.count() == 2


def test_what_does_not_change_writes_nothing(django_assert_num_queries: Callable[..., Any]) -> None:
    look(WELL, looks=2)
    look(WELL, looks=2)
    with django_assert_num_queries(1):
        look(WELL, at=NOW + MINUTE, looks=2)


def test_a_crash_between_writing_and_sending_sends_it_again_under_the_same_id(hook: Monitor) -> None:
    to = alerts.channels(admins=[], webhooks=[hook.url])
    look(BROKEN, to=to)
    Alert.objects.update(claimed_until=NOW + 2 * MINUTE)  # by one that was killed
    assert alerts.deliver(to, now=NOW + MINUTE, seconds=10) == Delivered(sent=0, waiting=1)
    assert alerts.deliver(to, now=NOW + 2 * MINUTE, seconds=10) == Delivered(sent=1, waiting=0)
    assert [each["id"] for each in hook.posted] == [str(Alert.objects.get().change)]


@pytest.mark.parametrize(
    ("how", "trouble"),
    [
        ("down", "Connection refused"),
        ("500", "it answered 500"),
        ("drip", "no answer within 1s"),
        ("nowhere", "Name or service not known|No address|Temporary failure|no answer within 1s"),
    ],
)
def test_a_webhook_that_fails_stops_neither_mail_nor_the_others(
    hook: Monitor, how: str, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad = Monitor()
    bad.status, bad.drip = (500 if how == "500" else 200), how == "drip"
    urls = {
        "down": f"http://127.0.0.1:{free_port()}/s3cret",
        "nowhere": "http://nowhere.invalid/s3cret",
    }
    to = alerts.channels(admins=["ann"], webhooks=[urls.get(how, bad.url), hook.url])
    assert look(BROKEN, to=to) == ["broker"]
    try:
        began = time.monotonic()
        with caplog.at_level(logging.WARNING, "maintenance.alerts"):
            assert alerts.deliver(to, now=NOW, seconds=20) == Delivered(sent=2, waiting=1)
        assert time.monotonic() - began < 15, "that is a hang"
        assert (len(mail.outbox), len(hook.posted)) == (1, 1)
        assert caplog.records
        assert "s3cret" not in caplog.text
        assert any(each in caplog.text for each in trouble.split("|")), caplog.text
        if how in ("500", "drip"):
            assert len(bad.posted) == 2  # tried again at once
            bad.status, bad.drip = 200, False
            assert alerts.deliver(to, now=NOW + 5 * MINUTE, seconds=20) == Delivered(sent=1, waiting=0)
            assert {each["id"] for each in bad.posted} == {str(Alert.objects.values_list("change", flat=True)[0])}
    finally:
        bad.close()


def test_a_channel_gets_its_messages_in_their_order_and_none_after_a_failure(hook: Monitor) -> None:
    to = alerts.channels(admins=[], webhooks=[hook.url])
    look(BROKEN, to=to)
    look(WELL, at=NOW + MINUTE, to=to)
    hook.status = 503
    assert alerts.deliver(to, now=NOW, seconds=20) == Delivered(sent=0, waiting=2)
    assert [each["kind"] for each in hook.posted] == ["failing", "failing"]
    hook.status = 200
    assert alerts.deliver(to, now=NOW, seconds=20) == Delivered(sent=2, waiting=0)
    assert [each["kind"] for each in hook.posted[2:]] == ["failing", "recovered"]


@pytest.mark.parametrize("error", [smtplib.SMTPServerDisconnected("s3cret"), TimeoutError("timed out"), ValueError()])
def test_a_mail_server_that_fails_does_not_stop_webhooks(
    hook: Monitor, monkeypatch: pytest.MonkeyPatch, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr("maintenance.health.alerts.channel.mail_admins", fail)
    to = alerts.channels(admins=["ann"], webhooks=[hook.url])
    look(BROKEN, to=to)
    assert alerts.deliver(to, now=NOW, seconds=10) == Delivered(sent=1, waiting=1)
    assert f"An alert to mail to ADMINS failed: {type(error).__name__}." in caplog.text
    assert "s3cret" not in caplog.text


def test_nobody_waits_for_a_channel_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    def hang(alert: dict[str, Any]) -> str | None:
        time.sleep(3)
        return None

    to = [Channel("slow", "a slow one", hang)]
    look(BROKEN, to=to)
    began = time.monotonic()
    assert alerts.deliver(to, now=NOW, seconds=0.2) == Delivered(sent=0, waiting=1)
    assert time.monotonic() - began < 2
    assert "1 alerts were not sent within 0.2s; the next look tries again." in caplog.text


def test_what_is_a_day_old_is_given_up_and_a_channel_that_is_gone_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    to = [Channel("gone", "gone", lambda alert: None), Channel("here", "here", lambda alert: "it answered 500")]
    look(BROKEN, to=to)
    assert alerts.deliver(to[1:], now=NOW + 24 * 60 * MINUTE, seconds=5) == Delivered(sent=0, waiting=1)
    assert alerts.deliver(to[1:], now=NOW + 24 * 60 * MINUTE + MINUTE, seconds=5) == Delivered(sent=0, waiting=0)
    assert caplog.text.count("1 alerts were never delivered, and are given up.") == 2


def test_the_tables_do_not_grow_for_ever(hook: Monitor) -> None:
    to = alerts.channels(admins=[], webhooks=[hook.url])
    look(BROKEN, to=to)
    alerts.deliver(to, now=NOW, seconds=10)
    alerts.deliver(to, now=NOW + timedelta(days=30), seconds=10)
    assert Alert.objects.count() == 1
    alerts.deliver(to, now=NOW + timedelta(days=30, seconds=1), seconds=10)
    assert Alert.objects.count() == 0
