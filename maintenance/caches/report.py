"""What was done to a cache, in a sentence."""

from .. import units
from .clearing import Culled
from .steps import Step


def cleared(step: Step, *, dry_run: bool) -> str:
    """Return what was cleared, and what went with it."""
    did = "Would clear" if dry_run else "Cleared"
    keys = "" if step.keys is None else f": {units.counted(step.keys, 'entry', 'entries')}"
    only = ", only this process' own" if step.backend == "LocMemCache" else ""
    gone = [*map(repr, step.also), *step.shared]
    also = f", and with it {' and '.join(gone)} in the same place" if gone else ""
    chosen = "" if step.prefix is None else f", keys with prefix {step.prefix!r}"
    chosen += f" that match {step.pattern!r}" if step.pattern is not None else ""
    return f"{did} {step.alias!r} ({step.backend}{chosen}{only}){keys}{also}."


def culled(done: Culled, *, dry_run: bool) -> str:
    """Return how much had expired, or why nothing was to be done."""
    if done.deleted is None:
        return f"Nothing to do for {done.alias!r} ({done.backend}): {done.note}."
    did = "Would delete" if dry_run else "Deleted"
    entries = units.counted(done.deleted, "expired entry", "expired entries")
    return f"{did} {entries} of {done.alias!r} ({done.backend})."
