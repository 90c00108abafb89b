"""Clearing a cache by prefix beside a queue: keys a second, and the longest command that Redis was kept busy with.

Side by side, each on a freshly filled private server: what clear_cache --prefix does, and DEL of each key that
redis-py's scan_iter finds. Run it as `python -m benchmarks.caches [--keys 200000] [--rounds 3]`.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
import redis

from benchmarks.machine import describe
from tests.servers import Valkey

QUEUED = 1_000
PREFIX = "shop"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    print(describe())
    contenders: dict[str, Callable[[Any], object]] = {"ours": ours, "SCAN and DEL one by one": one_by_one}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    longest: dict[str, float] = dict.fromkeys(contenders, 0.0)
    left: dict[str, int] = {}
    for _ in range(options.rounds):
        for name, clear in contenders.items():
            with filled(options.keys) as client:
                started = time.perf_counter()
                clear(client)
                seconds[name].append(time.perf_counter() - started)
                longest[name] = max(longest[name], *(entry["duration"] / 1000 for entry in client.slowlog_get(-1)))
                left[name] = client.llen("celery")
    print(f"{options.keys} keys of 100 bytes and {QUEUED} queued messages, median of {options.rounds} rounds")
    for name, took in seconds.items():
        rate = options.keys / statistics.median(took)
        print(f"{name:25} {rate:10,.0f} keys/s  longest command {longest[name]:6.2f} ms  queue {left[name]}")


@contextmanager
def filled(keys: int) -> Iterator[Any]:
    """Give a client of a private server that holds the keys and the queue, and logs the duration of every command."""
    with tempfile.TemporaryDirectory() as folder:
        server = Valkey(Path(folder))
        server.start()
        client = redis.Redis(port=server.port)
        try:
            for start in range(0, keys, 10_000):
                numbers = range(start, min(start + 10_000, keys))
                client.mset({f"{PREFIX}:1:key {number}": b"x" * 100 for number in numbers})
            client.rpush("celery", *[b"{}"] * QUEUED)
            client.config_set("slowlog-max-len", 10 * keys)
            client.config_set("slowlog-log-slower-than", 0)
            client.slowlog_reset()
            yield client
        finally:
            client.close()
            server.stop()


def ours(client: Any) -> int:
    """Return how many keys clear_cache --prefix unlinks."""
    from maintenance.caches import keys

    return sum(keys.unlink(client, keys.of(PREFIX)))


def one_by_one(client: Any) -> int:
    """Return how many keys go when each that SCAN finds is deleted for itself, in Redis' default batches."""
    return sum(client.delete(key) for key in client.scan_iter(match=f"{PREFIX}:*"))


if __name__ == "__main__":
    main()
