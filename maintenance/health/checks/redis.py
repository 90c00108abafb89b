"""Redis as a broker: that it drops nothing, shares nothing, and hands nothing out twice."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, ClassVar, Final

from ... import caches, project
from ...broker import unacked, visibility
from ...caches import Resident
from ...units import human_duration, human_size
from .. import asking
from ..base import Check, CouldNotAsk, Figure, OfApp

NOTHING: Final = "noeviction"
_HELD: Final = 200
_FULL: Final = 0.9


@dataclass(repr=False)
class Policy(OfApp):
    """A full Redis refuses what is new instead of dropping messages."""

    id: ClassVar[str] = "redis.policy"
    title: ClassVar[str] = "Redis memory"
    needs: ClassVar[tuple[str, ...]] = ("broker",)
    consequence: ClassVar[str] = "Once its memory is full, Redis drops keys: queues with their messages, or results."
    cure: ClassVar[str] = "Set maxmemory-policy noeviction on the broker's server, and give caches one of their own."

    def ask(self) -> Iterator[str | Figure]:
        with asking.the_broker(self.app) as connection:
            channel: Any = connection.default_channel
            facts = channel.client.info("memory")
        policy, limit, used = facts.get("maxmemory_policy"), int(facts.get("maxmemory") or 0), int(facts["used_memory"])
        yield Figure("redis_memory_used_bytes", used)
        yield Figure("redis_memory_limit_bytes", limit)
        if policy is None:
            raise CouldNotAsk("Its server does not tell maxmemory_policy.")
        if policy != NOTHING and limit:
            # Only keys with a time to live go then; queues have none, results do.
            raise (self.warning if policy.startswith("volatile") else self.failed)(f"Its policy is {policy}.")
        if limit and used > limit * _FULL:
            raise self.warning(
                f"{human_size(used)} of {human_size(limit)} are used.",
                consequence="Once it is full, no task can be sent.",
                cure="See which queue or cache grows, or give it more memory.",
            )
        yield f"Its policy is {policy}." if limit else "It has no limit, so nothing is dropped."


@dataclass(repr=False)
class Shared(Check):
    """No cache lives in the Redis database of the broker, of results or of channel layers."""

    configured: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    residents: Callable[[], Sequence[Resident]] = field(default=tuple, repr=False)
    id: ClassVar[str] = "redis.shared"
    title: ClassVar[str] = "Redis databases"
    needs: ClassVar[tuple[str, ...]] = ("broker",)
    rules: ClassVar[tuple[str, ...]] = ("broker-is-cache",)
    consequence: ClassVar[str] = "cache.clear() is FLUSHDB: it deletes that too."
    cure: ClassVar[str] = "Give the cache a database number of its own in CACHES (redis://…/1), or a server."

    def ask(self) -> Iterator[str | Figure]:
        met, residents = [], [each for each in self.residents() if not each.alias]
        for alias in self.configured:
            try:
                caches.plan(aliases=[alias], configured=self.configured, residents=residents)
            except caches.Shared as shared:
                met.append(shared.message.partition(": ")[0])
        if met:
            raise self.failed(f"{'; '.join(met)}.")
        yield "No cache shares its database."


@dataclass(repr=False)
class Visibility(OfApp):
    """No task runs or waits for longer than Redis leaves its message alone."""

    id: ClassVar[str] = "redis.visibility"
    title: ClassVar[str] = "visibility_timeout"
    needs: ClassVar[tuple[str, ...]] = ("broker",)
    rules: ClassVar[tuple[str, ...]] = ("visibility-timeout-short", "visibility-timeout-eta")
    consequence: ClassVar[str] = "Redis hands the message out again meanwhile, and the task runs twice."

    def ask(self) -> Iterator[str | Figure]:
        allowed = visibility.timeout(self.app)
        yield Figure("redis_visibility_timeout_seconds", allowed)
        again = f"A message is handed out again after {_length(allowed)}"
        known = {"runs": visibility.longest(self.app), "waits": visibility.longest_wait(self.app)}
        beyond = {verb: found for verb, found in known.items() if found[0] >= allowed}
        if beyond:
            them = (f"one {verb} for up to {_length(seconds)} ({source})" for verb, (seconds, source) in beyond.items())
            raise self.warning(f"{again}, but {' and '.join(them)}.", cure=self._cure(max(beyond.values())[0]))
        with asking.the_broker(self.app) as connection:
            held = list(islice(unacked.held(self.app, connection.default_channel), _HELD))
        now = datetime.now(UTC)
        for each in held:
            wait = _wait(each.message, now)
            if wait > allowed:
                task = (each.message.get("headers") or {}).get("task")
                cure = f"{self._cure(wait)} Better: let a schedule send what is far ahead."
                raise self.warning(f"{again}, but a worker holds one of {task!r} for {_length(wait)}.", cure=cure)
        yield f"It is {_length(allowed)}, and nothing is known to take longer."

    def _cure(self, seconds: float) -> str:
        name = project.setting_name(self.app, "broker_transport_options")
        return f'Set {name}["visibility_timeout"] = {round(seconds) + 600}.'


def _wait(message: Mapping[str, Any], now: datetime) -> float:
    try:
        due = datetime.fromisoformat((message.get("headers") or {})["eta"])
    except (KeyError, TypeError, ValueError):
        return 0.0
    return ((due if due.tzinfo else due.replace(tzinfo=UTC)) - now).total_seconds()


def _length(seconds: float) -> str:
    return human_duration(round(seconds))
