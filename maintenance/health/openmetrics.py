"""Answers as OpenMetrics text: what django-health-check tells of its checks, and the figures that ours have seen."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from .base import FAILED, OK, UNKNOWN, WARNING, Figure
from .runner import Answer

CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PREFIX: Final = "maintenance"
HELP: Final[Mapping[str, str]] = {
    "check_state": "The state that a check is in (1), and those that it is not in (0).",
    "database_connections_limit": "How many connections the database's server allows.",
    "database_answer_seconds": "How long a database took to answer.",
    "workers_answering": "How many workers answered; not more than were needed to know a consumer of every queue.",
    "queue_consumers": "How many of the workers that answered consume a queue.",
    "queue_messages": "How many messages wait in a queue.",
    "queue_oldest_seconds": "How long the oldest message in a queue has been waiting.",
    "beat_tick_age_seconds": "How long ago beat last renewed its lease, which it does in the thread that ticks.",
    "beat_leader": "Whether a beat leads, and which.",
    "schedules": "How many schedules there are.",
    "schedules_late": "How many schedules were not sent when they were due, or have not ended since.",
    "schedules_failed": "How many maintenance schedules' last run failed.",
    "schedules_drifted": "Whether the tables differ from the schedules that are declared.",
    "task_runs_last_hour": "How many runs of a task ended in the last hour.",
    "task_failures_last_hour": "How many of them failed.",
    "task_duration_seconds": "How long they took, by quantile.",
    "results_oldest_seconds": "How old the oldest result is.",
    "backups": "How many backups of a database there are.",
    "backup_age_seconds": "How long ago the newest backup was finished.",
    "backup_size_bytes": "How large the newest backup is, as it is stored.",
    "backup_verified_age_seconds": "How long ago a backup was last verified with success.",
    "disk_free_bytes": "How much room is left for a folder.",
    "redis_memory_used_bytes": "How much memory the broker's Redis uses.",
    "redis_memory_limit_bytes": "How much it may use (0: no limit).",
    "redis_visibility_timeout_seconds": "After how long an unacknowledged message is handed out again.",
    "clock_skew_seconds": "By how much the clocks of this host and of the database differ.",
}


def render(answers: Iterable[Answer]) -> str:
    """Return the whole text. A figure without a help text is a mistake: KeyError."""
    families: dict[str, list[Figure]] = defaultdict(list)
    healthy = True
    for answer in answers:
        which = {"check": answer.finding.id}
        well = answer.finding.state == OK
        healthy &= well
        families["django_health_check_status"].append(Figure("", well, which))
        families["django_health_check_response_time_seconds"].append(Figure("", answer.seconds, which))
        for state in (OK, WARNING, FAILED, UNKNOWN):
            now = Figure("", state == answer.finding.state, {**which, "state": state})
            families[f"{PREFIX}_check_state"].append(now)
        for figure in answer.figures:
            families[f"{PREFIX}_{figure.name}"].append(figure)
    families["django_health_check_overall_status"].append(Figure("", healthy))
    lines = [line for name, figures in families.items() for line in _family(name, figures)]
    return "\n".join([*lines, "# EOF", ""])


_THEIRS: Final[Mapping[str, str]] = {
    "django_health_check_status": "Health check status (1 = healthy, 0 = unhealthy)",
    "django_health_check_response_time_seconds": "Health check response time in seconds",
    "django_health_check_overall_status": "Overall health check status (1 = all healthy, 0 = at least one unhealthy)",
}


def _family(name: str, figures: list[Figure]) -> list[str]:
    told = _THEIRS.get(name) or HELP[name.removeprefix(f"{PREFIX}_")]
    samples = [f"{name}{_labels(figure.labels)} {_number(figure.value)}" for figure in figures]
    return [f"# HELP {name} {told}", f"# TYPE {name} gauge", *samples]


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else f"{int(value)}"
