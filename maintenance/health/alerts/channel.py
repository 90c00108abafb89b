"""Where alerts go: mail to ADMINS, and webhooks. Each takes an alert within seconds, or says why not."""

import hashlib
import json
import smtplib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from django.core.mail import mail_admins

from ... import ping
from .message import body

MAIL: Final = "mail"
_ATTEMPTS: Final = 2

Send = Callable[[dict[str, Any]], str | None]


@dataclass(frozen=True)
class Channel:
    """A way to tell somebody. ``key`` is stored, and holds no secret; ``send`` returns why it failed, or None."""

    key: str
    label: str
    send: Send = field(repr=False, compare=False)


def channels(*, admins: Iterable[Any], webhooks: Iterable[str]) -> list[Channel]:
    """Return the channels that there are."""
    mail = [Channel(MAIL, "mail to ADMINS", _mail)] if list(admins) else []
    return [*mail, *(_webhook(url) for url in dict.fromkeys(webhooks))]


def _mail(alert: dict[str, Any]) -> str | None:
    try:
        mail_admins(alert["subject"], body(alert))
    except (OSError, smtplib.SMTPException, ValueError) as error:  # ValueError: ADMINS have a wrong shape
        return getattr(error, "strerror", None) or type(error).__name__
    return None


def _webhook(url: str) -> Channel:
    key = f"webhook {hashlib.sha256(url.encode()).hexdigest()[:16]}"

    def send(alert: dict[str, Any]) -> str | None:
        trouble: str | None = None
        for _ in range(_ATTEMPTS):
            trouble = ping.send(url, document=json.dumps(alert).encode())
            if trouble is None:
                return None
        return trouble

    return Channel(key, f"the webhook at {urlsplit(url).hostname}", send)
