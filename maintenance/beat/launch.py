"""Planning `celery beat`: the command, and why each part of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import process
from ..errors import ConfigurationError
from ..heartbeat import VARIABLE

CELERYS_DEFAULT = "celery.beat:PersistentScheduler"
SCHEDULER = "maintenance.beat:Scheduler"
UNLEASED_SCHEDULER = "maintenance.beat:UnleasedScheduler"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL")


class UnknownLevel(ConfigurationError):
    """There is no log level {level!r}."""

    hint = f"Choose from {', '.join(LEVELS)}."


@dataclass(frozen=True)
class BeatPlan:
    """A beat to start: its app, scheduler and log level, the program, and the reasons."""

    app: str
    scheduler: str
    loglevel: str
    argv: tuple[str, ...]
    reasons: Mapping[str, str]
    env: Mapping[str, str] = field(default_factory=dict)


def plan(
    *,
    python: str,
    app: str,
    app_reason: str,
    scheduler_setting: str | None,
    has_tables: bool,
    loglevel: str | None,
    celery_args: Sequence[str],
    lease: bool = True,
    run_dir: str | None = None,
) -> BeatPlan:
    """Return the plan. ``scheduler_setting`` is the project's beat_scheduler, ``run_dir`` the heartbeat's folder.

    Raises UnknownLevel.

    Where there are django-celery-beat's tables the scheduler is ours, whatever the setting says.
    celery beat writes a pidfile only when asked, so that no stale one can keep it from starting.
    """
    level = (loglevel or "INFO").upper()
    if level not in LEVELS:
        raise UnknownLevel(level=loglevel)
    scheduler, reason = _scheduler(scheduler_setting, has_tables, lease)
    ping = ("--enable-remote-control",) if has_tables else ()
    argv = (python, "-m", "celery", "-A", app, "beat", "-l", level, "-S", scheduler, *ping, *celery_args)
    reasons = {"app": app_reason, "scheduler": reason, "loglevel": "-l" if loglevel else "default"}
    return BeatPlan(app, scheduler, level, argv, reasons, {} if run_dir is None else {VARIABLE: run_dir})


def explain(plan: BeatPlan) -> list[str]:
    """Return the plan in a few lines: each value with its reason, then the command."""
    values = {"app": plan.app, "scheduler": plan.scheduler, "loglevel": plan.loglevel}
    return [
        *(f"{name:<12} {value}  ({plan.reasons[name]})" for name, value in values.items()),
        f"$ {' '.join(plan.argv)}",
    ]


def document(plan: BeatPlan) -> dict[str, Any]:
    """Return the plan as run_beat --dry-run --json prints it (after schema_version)."""
    return {
        "app": plan.app,
        "scheduler": plan.scheduler,
        "loglevel": plan.loglevel,
        "argv": list(plan.argv),
        "env": dict(plan.env),
        "reasons": dict(plan.reasons),
    }


def command(plan: BeatPlan) -> process.Command:
    """Return the program that the plan describes."""
    return process.Command(args=plan.argv, env=plan.env)


def _scheduler(setting: str | None, has_tables: bool, lease: bool) -> tuple[str, str]:
    if has_tables and not lease:
        return UNLEASED_SCHEDULER, "--no-lease: nothing keeps a second beat from sending everything twice"
    if has_tables:
        return SCHEDULER, "django_celery_beat is installed"
    if setting and setting != CELERYS_DEFAULT:
        return setting, "CELERY_BEAT_SCHEDULER"
    return CELERYS_DEFAULT, "Celery's default: without django_celery_beat the schedule is the settings'"
