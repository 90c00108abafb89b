"""Clocks: whether this host and the database agree on the time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from django.db import DEFAULT_DB_ALIAS, connections

from ...units import human_duration
from .. import asking
from ..base import Check, CouldNotAsk, Figure

_ASK = {
    "postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())",
    "mysql": "SELECT UNIX_TIMESTAMP(NOW(6))",
    "oracle": "SELECT (CAST(SYS_EXTRACT_UTC(SYSTIMESTAMP) AS DATE) - DATE '1970-01-01') * 86400 FROM dual",
}


@dataclass(repr=False)
class Clock(Check):
    """The clocks of this host and of the default database differ by little."""

    most: timedelta = timedelta(seconds=5)
    id: ClassVar[str] = "clock"
    title: ClassVar[str] = "clocks"
    needs: ClassVar[tuple[str, ...]] = ("database",)
    consequence: ClassVar[str] = "Due times, expiries and ages are wrong by that much."
    cure: ClassVar[str] = "Let NTP set the clocks of both hosts (`timedatectl`)."

    def ask(self) -> Iterator[str | Figure]:
        connection = connections[DEFAULT_DB_ALIAS]
        if connection.vendor == "sqlite":
            yield "SQLite has this host's clock."
            return
        if connection.vendor not in _ASK:
            raise CouldNotAsk(f"{connection.display_name} is not known to tell its time.")
        with asking.the_database(), connection.cursor() as cursor:
            before = datetime.now(UTC)
            cursor.execute(_ASK[connection.vendor])
            there = float(cursor.fetchone()[0])
            after = datetime.now(UTC)
        here = (before.timestamp() + after.timestamp()) / 2
        # What the answer's way took may be on either side of it.
        skew = max(0.0, abs(here - there) - (after - before).total_seconds() / 2)
        yield Figure("clock_skew_seconds", skew)
        if skew > self.most.total_seconds():
            way = "behind" if there < here else "ahead of"
            raise self.warning(f"The database's clock is {human_duration(round(skew))} {way} this host's.")
        yield "They agree."
