"""What a purge did or would do, in words and as a document."""

from typing import Any

from .. import units
from ..space import Freed
from .archive import Archive
from .deletion import Counted, Purged
from .retention import Keeping
from .rules import Rules


def words(rules: Rules, done: Purged | Counted, *, archive: Archive | None = None, freed: Freed | None = None) -> str:
    """Return a line for the whole, and one for each thing that it has more to tell of."""
    if rules.delete_nothing:
        source = rules.keeping.source
        return f"Nothing deleted: {source} keeps results for ever. Pass --older-than 7d to delete old ones."
    did = "Would delete" if isinstance(done, Counted) else "Deleted"
    rows = [units.counted(done.task_results, "task result"), units.counted(done.group_results, "group result")]
    if done.chord_counters:
        rows.append(f"{units.counted(done.chord_counters, 'counter')} of dead chords")
    lines = [f"{did} {', '.join(rows[:-1])} and {rows[-1]} {_age(rules)}{_cost(done)}."]
    if done.by_status:
        lines.append(f"By status: {_list(done.by_status)}.")
    if isinstance(done, Counted):
        lines += [f"  {task}: {_list(statuses)}" for task, statuses in done.by_task.items()]
    if rules.stuck_before is not None:
        by_task = f": {_list(done.stuck)}" if done.stuck else ""
        lines.append(f"Of them had been stuck {sum(done.stuck.values())}{by_task}.")
    if archive and archive.rows:
        size = units.human_size(archive.size_bytes)
        lines.append(f"Archived {units.counted(archive.rows, 'row')} in {str(archive.path)!r} ({size}).")
    if freed:
        lines.append(freed.words)
    return "\n".join(lines)


def facts(
    rules: Rules, done: Purged | Counted, *, archive: Archive | None = None, freed: Freed | None = None
) -> dict[str, Any]:
    """Return the document of --json, without its version."""
    return {
        "dry_run": isinstance(done, Counted),
        "before": rules.before,
        "failed_before": rules.failed_before,
        "stuck_before": rules.stuck_before,
        "kept_by": rules.keeping.source,
        **done.facts(),
        "archive": str(archive.path) if archive and archive.rows else None,
        "won_back_bytes": freed and freed.won_bytes,
    }


def _age(rules: Rules) -> str:
    """Return how old they were: `older than 7d (--older-than), failures older than 30d (--failed-older-than)`."""
    others = [("failures ", rules.keeping_failed)] if rules.keeping_failed != rules.keeping else []
    return ", ".join(what + _kept(keeping) for what, keeping in (("", rules.keeping), *others))


def _kept(keeping: Keeping) -> str:
    age = "of any age are kept" if keeping.keep_for is None else f"older than {units.human_duration(keeping.keep_for)}"
    return f"{age} ({keeping.source})"


def _cost(done: Purged | Counted) -> str:
    if isinstance(done, Counted):
        return f", in about {units.human_duration(max(1, round(done.seconds)))}" if done.deleted else ""
    return f" in {units.counted(done.batches, 'batch', 'batches')}"


def _list(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items())
