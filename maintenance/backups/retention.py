"""Which backups stay and which go, and why: restic's rules on manifests; nothing is read or removed here."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from maintenance.units import human_duration

from .manifest import Manifest
from .sidecars import Entry

_BUCKETS: Final[dict[str, Callable[[datetime], Any]]] = {
    "hourly": lambda at: (at.date(), at.hour),
    "daily": lambda at: at.date(),
    "weekly": lambda at: at.isocalendar()[:2],
    "monthly": lambda at: (at.year, at.month),
    "yearly": lambda at: at.year,
}


@dataclass(frozen=True)
class Rules:
    """What to keep of each database: any rule is enough. Without a single rule everything is kept."""

    last: int | None = None
    hourly: int | None = None
    """The newest backup of each of so many hours that have one; calendar hours in UTC, and so on below."""
    daily: int | None = None
    weekly: int | None = None
    monthly: int | None = None
    yearly: int | None = None
    within: timedelta | None = None
    """All that are not older than this, counted from the newest backup."""
    tags: tuple[str, ...] = ()
    minimum: int = 1
    """The newest so many stay whatever the rules and ``max_size`` say."""
    max_size: int | None = None
    """Bytes stored of each database; beyond them the oldest go."""

    @property
    def select(self) -> bool:
        """Whether a rule says what to keep; else everything that fits into ``max_size`` is kept."""
        counts = (self.last, *(getattr(self, name) for name in _BUCKETS))
        return any(count is not None for count in counts) or self.within is not None or bool(self.tags)


@dataclass(frozen=True)
class Decision:
    """A backup, why it stays, or else why it goes: one of the two is empty."""

    entry: Entry
    reasons: tuple[str, ...] = ()
    removal: str = ""

    @property
    def goes(self) -> bool:
        """Whether it is removed."""
        return not self.reasons


def decide(entries: Iterable[Entry], rules: Rules) -> tuple[Decision, ...]:
    """Decide about each backup, oldest first. Each database (alias, kind, engine) is counted by itself.

    The newest backup, the newest verified and the newest restored one, the newest ``minimum`` and the pinned ones
    always stay. Backups whose verification failed count for nothing, as long as there are others. The rules are
    followed by all others and, once more, by those that were verified: so unverified ones never push one of them out.
    """
    groups: defaultdict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    for entry in sorted(entries, key=_age, reverse=True):
        groups[entry.group].append(entry)
    decisions = [decision for group in groups.values() for decision in _of_one(group, rules)]
    return tuple(sorted(decisions, key=lambda decision: _age(decision.entry)))


def surplus(made: Manifest, *, before: Iterable[Entry], rules: Rules) -> tuple[Manifest, ...]:
    """Return which of the backups ``before`` of the same database go once ``made`` is there, oldest first."""
    entries = [entry for entry in before if entry.group == Entry(made).group]
    return tuple(each.entry.manifest for each in decide([*entries, Entry(made)], rules) if each.goes)


def _of_one(entries: Sequence[Entry], rules: Rules) -> Iterator[Decision]:
    """Decide about one database's backups, newest first."""
    if rules == Rules(minimum=rules.minimum):
        yield from (Decision(entry, ("no rules",)) for entry in entries)
        return
    sound = [entry for entry in entries if not entry.failed] or entries
    protected = _merged(_protected(entries, sound, rules))
    wanted = _merged([*_selected(sound, rules), *_selected([entry for entry in sound if entry.good], rules)])
    size = sum(entry.manifest.stored_bytes for entry in entries if entry.manifest.id in protected)
    full = False
    for entry in entries:
        id_ = entry.manifest.id
        reasons = (*wanted.get(id_, ()), *protected.get(id_, ()))
        if id_ in wanted and id_ not in protected:
            size += entry.manifest.stored_bytes
            full = full or (rules.max_size is not None and size > rules.max_size)
            if full:
                yield Decision(entry, removal="beyond max-size")
                continue
        yield Decision(entry, reasons, "" if reasons else "failed verification" if entry.failed else "no rule keeps it")


def _protected(entries: Sequence[Entry], sound: Sequence[Entry], rules: Rules) -> Iterator[tuple[str, str]]:
    good = [entry for entry in sound if entry.good]
    stay: dict[str, Iterable[Entry]] = {
        "newest": [*entries[:1], *sound[:1]],
        "newest verified": good[:1],
        "newest restored": [entry for entry in good if entry.verified and entry.verified.restored][:1],
        "minimum": [*sound[: rules.minimum], *good[: rules.minimum]] if rules.minimum > 1 else (),
        "pinned": [entry for entry in entries if entry.pinned],
    }
    for reason, those in stay.items():
        yield from ((entry.manifest.id, reason) for entry in those)


def _selected(entries: Sequence[Entry], rules: Rules) -> Iterator[tuple[str, str]]:
    """Yield (id, reason) for what the rules select of ``entries``, newest first."""
    if not rules.select:
        yield from ((entry.manifest.id, "fits max-size") for entry in entries)
        return
    yield from ((entry.manifest.id, "last") for entry in entries[: rules.last or 0])
    for reason, bucket in _BUCKETS.items():
        yield from _newest_of_each(entries, reason, bucket, getattr(rules, reason) or 0)
    for entry in entries:
        if rules.within is not None and entries[0].manifest.started - entry.manifest.started < rules.within:
            yield entry.manifest.id, f"within {human_duration(rules.within)}"
        if entry.manifest.tag and entry.manifest.tag in rules.tags:
            yield entry.manifest.id, f"tag {entry.manifest.tag}"


def _newest_of_each(
    entries: Sequence[Entry], reason: str, bucket: Callable[[datetime], Any], count: int
) -> Iterator[tuple[str, str]]:
    """Yield the newest backup of each of the newest ``count`` buckets; and the oldest one while buckets are missing.

    So does restic: a young project that keeps 5 yearly ones keeps its very first backup.
    """
    last = None
    for entry in entries:
        this = bucket(entry.manifest.started.astimezone(UTC))
        if count and this != last:
            last, count = this, count - 1
            yield entry.manifest.id, reason
        elif count and entry is entries[-1]:
            yield entry.manifest.id, f"oldest {reason}"


def _merged(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for id_, reason in pairs:
        found[id_][reason] = None
    return {id_: tuple(reasons) for id_, reasons in found.items()}


def _age(entry: Entry) -> tuple[datetime, str]:
    return entry.manifest.started, entry.manifest.id
