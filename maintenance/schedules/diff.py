"""What must happen to the tables so that they hold what is declared. Pure: no table is touched here.

Three ways are compared: what is declared, what the row holds, and what we last applied. A field that differs from what
we applied was edited by a person; a row that a person disabled stays disabled. One that beat disabled (it ran once, or
expired) stays so until its entry changes.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .cleanup import BACKEND_CLEANUP
from .entries import EXTRAS, OPTIONAL, Entry
from .plan import Changes, Conflict, OnConflict, Plan, Prune, Update
from .stored import DONE, RETIRED, Mark, Record, Row, Stored


@dataclass
class _Findings:
    """A plan in the making."""

    create: list[Entry] = field(default_factory=list)
    update: list[Update] = field(default_factory=list)
    disable: list[Row] = field(default_factory=list)
    delete: list[Row] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    unchanged: int = 0
    foreign: list[str] = field(default_factory=list)
    own: dict[str, Record] = field(default_factory=dict)
    forget: list[str] = field(default_factory=list)


def diff(
    declared: Iterable[Entry],
    stored: Stored,
    *,
    prune: Prune = "disable",
    on_conflict: OnConflict = "db",
    adopt: bool = False,
    only: Collection[str] = (),
    replaces_cleanup: bool = False,
) -> Plan:
    """Return the plan that turns ``stored`` into ``declared``; of the names in ``only``, when there are any.

    With ``replaces_cleanup`` Celery's own entry is disabled, because another one deletes old results.
    """
    found = _Findings()
    wanted = {entry.name: entry for entry in declared if not only or entry.name in only}
    for name, entry in wanted.items():
        if name in stored.marks and _is_as_it_was(entry, stored.marks[name]):
            found.unchanged += 1
            continue
        row, record = stored.rows.get(name), stored.owned.get(name)
        if row is None:
            found.create.append(entry)
            _remember(found, entry, record, {})
        elif record is None and name == row.entry.task == BACKEND_CLEANUP:
            found.foreign.append(name)
        elif record is None and not adopt:
            found.conflicts.append(Conflict(name, _words(row.entry, entry, _differing(row.entry, _filled(entry, row)))))
        else:
            _compare(found, entry, row, record, on_conflict)
    for name in dict.fromkeys((*stored.rows, *stored.owned)):
        if name not in wanted and (not only or name in only):
            _leave(found, name, stored, prune, replaces_cleanup)
    fixed: dict[str, Any] = {
        name: tuple(each) if isinstance(each, list) else each for name, each in vars(found).items()
    }
    return Plan(**fixed)


def _is_as_it_was(entry: Entry, mark: Mark) -> bool:
    """Return whether the row holds what is declared, and so does what we remember: a quick look, without reading it."""
    fingerprint, start_time, description, facts = mark
    return (
        fingerprint == entry.fingerprint
        and facts == entry.mark
        and entry.start_time in (None, start_time)
        and entry.description in (None, description)
    )


def _compare(found: _Findings, entry: Entry, row: Row, record: Record | None, on_conflict: OnConflict) -> None:
    base: Mapping[str, Any] = record.applied if record else {}
    if record and record.fingerprint == entry.fingerprint and base == entry.facts and _holds(row.entry, entry):
        found.unchanged += 1
        return
    target = _filled(entry, row, base)
    differing = _differing(row.entry, target)
    done = record is not None and record.done and not row.enabled and base == entry.facts
    revives = record is not None and (record.retired or record.done or base.get("enabled") is False)
    if "enabled" in differing and not row.enabled and (done or not revives):
        differing.remove("enabled")  # a person disabled it, or it is done
        target = replace(target, enabled=False)
    edited = [
        name
        for name in differing
        if name in base and name not in EXTRAS and row.entry.facts[name] != base[name]
        if not (name == "enabled" and record and (record.retired or record.done))
    ]
    if on_conflict == "code":
        edited = []
    if edited:
        found.conflicts.append(Conflict(entry.name, _words(row.entry, target, edited), "edited"))
        target = replace(target, **{_attribute(name): getattr(row.entry, _attribute(name)) for name in edited})
        differing = [name for name in differing if name not in edited]
    if differing or record is None:
        changes = _words(row.entry, target, differing)
        found.update.append(Update(row.pk, target, changes, adopted=record is None))
    elif not edited:
        found.unchanged += 1
    _remember(found, entry, record, {name: base[name] for name in edited}, done=done)


def _holds(row: Entry, entry: Entry) -> bool:
    """Return whether a row is what is declared, apart from what the entry leaves to a person."""
    facts = row.facts
    return all(facts[name] == fact for name, fact in entry.facts.items() if fact is not None or name not in OPTIONAL)


def _filled(entry: Entry, row: Row, base: Mapping[str, Any] | None = None) -> Entry:
    """Return ``entry`` with the row's value of optional fields that neither it nor what we last applied names."""
    left_out = {
        name: getattr(row.entry, name)
        for name in OPTIONAL
        if getattr(entry, name) is None and (base or {}).get(name) is None
    }
    return replace(entry, **left_out)


def _differing(row: Entry, target: Entry) -> list[str]:
    return [name for name, fact in target.facts.items() if row.facts[name] != fact]


def _words(row: Entry, target: Entry, names: Iterable[str]) -> Changes:
    return {name: (row.words(name), target.words(name)) for name in names}


def _attribute(name: str) -> str:
    return "timing" if name == "schedule" else name


def _remember(
    found: _Findings, entry: Entry, record: Record | None, kept: Mapping[str, Any], *, done: bool = False
) -> None:
    wanted = Record(DONE if done else entry.fingerprint, {**entry.facts, **kept} if kept else entry.facts)
    if record != wanted:
        found.own[entry.name] = wanted


def _leave(found: _Findings, name: str, stored: Stored, prune: Prune, replaces_cleanup: bool) -> None:
    row, record = stored.rows.get(name), stored.owned.get(name)
    if row is None:
        found.forget.append(name)
        return
    replaced = record is None and replaces_cleanup and name == row.entry.task == BACKEND_CLEANUP
    if record is None and not replaced:
        found.foreign.append(name)
    elif record is not None and record.retired and row.enabled:
        found.foreign.append(name)  # a person took it over
    elif prune == "delete" and not replaced:
        found.delete.append(row)
        found.forget.append(name)
    elif (prune == "disable" or replaced) and row.enabled:
        found.disable.append(row)
        found.own[name] = Record(RETIRED, record.applied if record else {})
