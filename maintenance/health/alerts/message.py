"""What an alert says: one document, from which mail and webhooks take what they need."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ... import units
from ..base import FAILED, UNKNOWN, WARNING
from ..runner import Finding
from .changes import RECOVERED, STILL, Change

_WORDS: Final = {WARNING: "Warning", FAILED: "FAILED", UNKNOWN: "COULD NOT ASK"}


@dataclass(frozen=True)
class Origin:
    """Who looked: the project and its host."""

    project: str
    host: str


def document(id: str, finding: Finding, change: Change, *, now: datetime, origin: Origin) -> dict[str, Any]:
    """Return an alert as webhooks get it. ``id`` is the same however often it is sent."""
    subject = _subject(finding, change, now)
    return {
        "schema_version": 1,
        "id": id,
        "kind": change.kind,
        "check": finding.id,
        "title": finding.title,
        "state": finding.state,
        "before": change.before,
        "since": change.since.isoformat(timespec="seconds"),
        "at": now.isoformat(timespec="seconds"),
        "message": finding.message,
        "consequence": finding.consequence,
        "cure": finding.cure,
        "project": origin.project,
        "host": origin.host,
        "subject": subject,
        "text": _escaped(f"*{origin.project}*: {subject}\n{finding.words}"),
    }


def _subject(finding: Finding, change: Change, now: datetime) -> str:
    lasted = units.human_duration(round((now - change.since).total_seconds()))
    if change.kind == RECOVERED:
        return f"Recovered: {finding.title}, after {lasted}"
    still = f", for {lasted} now" if change.kind == STILL else ""
    return f"{_WORDS[finding.state]}: {finding.title}{still}"


def body(alert: dict[str, Any]) -> str:
    """Return the text of the mail."""
    facts = [alert["message"], alert["consequence"], alert["cure"]]
    where = f"{alert['project']} on {alert['host']}, {alert['at']}. Since {alert['since']}. Alert {alert['id']}."
    return "\n".join([*filter(None, facts), "", where])


def _escaped(text: str) -> str:
    """Return text that Slack shows as it is (its three control characters)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
