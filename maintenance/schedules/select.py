"""Schedules by name: a misspelt one is refused with the nearest."""

import difflib
from collections.abc import Collection, Iterable

from ..errors import ConfigurationError


class UnknownSchedule(ConfigurationError):
    """No schedule is named {name!r}."""

    hint = "{suggestion}"


def known(names: Iterable[str], *, among: Collection[str]) -> None:
    """Raise UnknownSchedule, which suggests the nearest name, when one of ``names`` is not ``among`` them."""
    for name in names:
        if name not in among:
            near = difflib.get_close_matches(name, among, n=1)
            raise UnknownSchedule(name=name, suggestion=f"Did you mean {near[0]!r}?" if near else "")
