"""Who may see the details of health: who shows the token, and staff."""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from django.http import HttpRequest

from . import conf
from .errors import MaintenanceError
from .health.base import Check, CouldNotAsk, Figure


def shows_token(request: HttpRequest) -> bool | None:
    """Return whether the client shows the right token; None when it shows none."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        token = conf.get().health.token
    except MaintenanceError:
        return False
    return token is not None and any(hmac.compare_digest(each, token.encode()) for each in _bytes(given.strip()))


@dataclass(repr=False)
class Staff(Check):
    """Whether who asks is a member of staff; asked only once the session's stores are known to answer."""

    request: HttpRequest
    id: ClassVar[str] = "staff"
    needs: ClassVar[tuple[str, ...]] = ("database", "cache")

    @property
    def label(self) -> str:
        return str(id(self.request))

    def ask(self) -> Iterator[str | Figure]:
        user = getattr(self.request, "user", None)
        if user is None or not (user.is_active and user.is_staff):
            raise CouldNotAsk("Only staff may see more.")
        yield str(user.pk)


def _bytes(text: str) -> Iterator[bytes]:
    """Yield what a client may have sent: servers hand a header's bytes over as if they were Latin-1."""
    for encoding in ("latin-1", "utf-8"):
        try:
            yield text.encode(encoding)
        except UnicodeEncodeError:
            continue
