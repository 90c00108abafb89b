"""The keys of Django's RedisCache in a database that others use too: SCAN and UNLINK, never KEYS, never FLUSHDB."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import translate
from typing import Any, Final

# One SCAN and one UNLINK of so many keys take about 1 ms of the server, which serves nobody else meanwhile.
_AT_A_TIME: Final = 1000


@dataclass(frozen=True)
class Keys:
    """Which keys: what SCAN is asked for, and the whole name, which decides."""

    match: str
    name: re.Pattern[bytes]


def of(prefix: str, *, pattern: str | None = None, spared: tuple[str, ...] = ()) -> Keys:
    """Return the keys of a KEY_PREFIX, whose names match the glob ``pattern`` and do not begin with ``spared``.

    Django's keys are "prefix:version:name". Every character of the prefix is literal.
    """
    # Up to the first class: Redis writes and reads [..] otherwise than Python. The whole name decides anyway.
    head = "*" if pattern is None else re.sub(r"([\\^\]])", r"\\\1", pattern.partition("[")[0]) + "*"
    match = re.sub(r"([*?\[\]\\^])", r"\\\1", prefix) + ":[0-9]*:" + head
    others = "".join(f"(?!{re.escape(head)})" for head in spared)
    name = rf"{re.escape(prefix)}:[0-9]+:{others}(?:{translate('*' if pattern is None else pattern)})"
    return Keys(match, re.compile(name.encode(), re.DOTALL))


def unlink(client: Any, wanted: Keys) -> Iterator[int]:
    """Unlink the keys in batches; yield how many went each time."""
    for keys in found(client, wanted):
        yield client.unlink(*keys)


def found(client: Any, wanted: Keys) -> Iterator[list[bytes]]:
    """Yield the keys in batches. A key may come twice, one that is there all the time comes once at least."""
    cursor = 0
    while True:
        # Django keeps strings only. Queues are lists, hashes and sets: whatever a queue's name is, it stays.
        cursor, keys = client.scan(cursor, match=wanted.match, count=_AT_A_TIME, _type="string")
        mine = [key for key in keys if wanted.name.fullmatch(key)]
        if mine:
            yield mine
        if cursor == 0:
            return
