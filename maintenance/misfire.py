"""What becomes of due times that beat missed: the policies, as text and as a value."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, cast

from . import units

Kind = Literal["once", "all", "within", "skip"]


@dataclass(frozen=True)
class Policy:
    """What becomes of missed due times. ``limit`` is all's number of sends, ``window`` within's lateness."""

    kind: Kind = "once"
    limit: int | None = None
    window: timedelta | None = None

    def __str__(self) -> str:
        if self.limit is not None:
            return f"{self.kind}:{self.limit}"
        if self.window is not None:
            seconds = f"{self.window.total_seconds():.6f}".rstrip("0").rstrip(".")
            return f"{self.kind}:{seconds}"
        return self.kind


def parse(text: str) -> Policy:
    """Return ``once``, ``skip``, ``all``, ``all:N`` or ``within:TIME`` as a policy. Raises ValueError."""
    kind, colon, value = text.strip().partition(":")
    if kind == "all" and colon:
        return Policy("all", limit=units.whole(value))
    if kind == "within" and colon and (window := units.duration(value)):
        return Policy("within", window=window)
    if kind in ("once", "all", "skip") and not colon:
        return Policy(cast(Kind, kind))
    raise ValueError(f"{text!r} is not a misfire policy such as once, all, all:10, within:60 or skip")
