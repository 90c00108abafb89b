"""From a plan to a running worker: the lines that explain it, the exec, and the reloading parent."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from maintenance import process
from maintenance.errors import ConfigurationError

from .plan import WorkerPlan


class ReloadNotInstalled(ConfigurationError):
    """--reload needs {package!r}, which is not installed."""

    hint = "Run `pip install {package}`."


def command(plan: WorkerPlan) -> process.Command:
    """Return the program that the plan describes."""
    return process.Command(args=plan.argv, env=plan.env)


def explain(plan: WorkerPlan) -> list[str]:
    """Return the plan in a few lines: each value with its reason, the warnings, the command."""
    memory = plan.max_memory_per_child_kib
    values = {
        "pool": plan.pool,
        "concurrency": plan.concurrency,
        "queues": ", ".join(plan.queues),
        "max_memory_per_child_kib": "not limited" if memory is None else f"{memory} KiB a child",
        "grace_seconds": f"{plan.grace_seconds:g}s, {plan.window_seconds:g}s of it for running tasks",
    }
    names = {"max_memory_per_child_kib": "memory", "grace_seconds": "grace"}
    lines = [f"{names.get(name, name):<12} {value}  ({plan.reasons[name]})" for name, value in values.items()]
    lines += [f"warning      {text}" for text in plan.warnings]
    return [*lines, f"$ {' '.join(plan.argv)}"]


def document(plan: WorkerPlan) -> dict[str, Any]:
    """Return the plan as run_worker --dry-run --json prints it (after schema_version)."""
    return {
        "pool": plan.pool,
        "concurrency": plan.concurrency,
        "queues": list(plan.queues),
        "grace_seconds": plan.grace_seconds,
        "max_memory_per_child_kib": plan.max_memory_per_child_kib,
        "argv": list(plan.argv),
        "env": dict(plan.env),
        "reasons": dict(plan.reasons),
        "warnings": list(plan.warnings),
    }


def start_reloading(plan: WorkerPlan, *, folder: Path, say: Callable[[str], None]) -> int:
    """Run the worker as our own child and restart it when Python files under ``folder`` change.

    Changes within half a second count as one. Returns the last child's exit code once we are asked to stop.
    A child that ended by itself (a syntax error, say) is started again at the next change.
    """
    try:
        import watchfiles
    except ImportError as error:
        raise ReloadNotInstalled(package="watchfiles") from error
    stopping = threading.Event()
    child = process.start(command(plan), dies_with_us=True)

    def stop_all() -> None:
        stopping.set()
        process.stop(child)

    changes = watchfiles.watch(
        folder, watch_filter=watchfiles.PythonFilter(), debounce=500, stop_event=stopping, raise_interrupt=False
    )
    process.on_stop_signals(stop_all)
    for batch in changes:
        names = sorted({Path(path).name for _, path in batch})
        say(f"Restarting the worker: {', '.join(names[:3])}{' …' if len(names) > 3 else ''} changed.")
        process.stop(child)
        child.wait()
        if not stopping.is_set():
            child = process.start(command(plan), dies_with_us=True)
    return child.wait()
