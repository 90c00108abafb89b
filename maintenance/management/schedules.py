"""What the commands of schedules share: what is declared, the question before something goes, colours of a plan."""

from typing import TYPE_CHECKING

from django.core.management.color import Style
from django.utils import timezone

from maintenance import conf, lease
from maintenance.errors import ConfigurationError
from maintenance.management.base import Command
from maintenance.management.found import celery_app

if TYPE_CHECKING:  # they import django-celery-beat, which a project may not have
    from maintenance.schedules.declared import Declaration
    from maintenance.schedules.reset import Resets
    from maintenance.schedules.sync import Look

_STYLES = {"+": "SUCCESS", "~": "WARNING", "-": "ERROR", "!": "NOTICE"}


def declared(app: str | None = None) -> "Declaration":
    """Return what the project declares; ``app`` is -A. Raises ConfigurationError."""
    from maintenance.schedules import gather

    return gather.read(celery_app(app).app, extras=conf.get().schedules)


def declared_zones() -> dict[str, str]:
    """Return the zone of each declared crontab; nothing where the project has no usable Celery app."""
    from maintenance.schedules import gather

    try:
        return gather.zones(declared())
    except ConfigurationError:
        return {}


def painted(line: str, style: Style) -> str:
    """Return a line of a plan in the colour of its sign."""
    paint = getattr(style, _STYLES.get(line[:2].strip(), ""), str)
    return str(paint(line))


def write(command: Command, seen: "Look", *, using: str, interactive: bool) -> "Look":
    """Apply a plan, and ask before it deletes. Raises NotConfirmed, LockHeld, Overtaken."""
    from maintenance.schedules import report, sync

    if seen.plan.delete and interactive:
        command.comment("\n".join(report.explain(seen.plan, dry_run=True)))
        command.confirm(f"Delete {len(seen.plan.delete)}?", interactive=interactive)
    return sync.write(seen, holder=lease.this_process(), using=using, now=timezone.now())


def apply_resets(command: Command, resets: "Resets", *, using: str, interactive: bool) -> None:
    """Apply resets, and ask before. Raises NotConfirmed, LockHeld."""
    from maintenance.schedules import reset

    if interactive:
        ask = f"This resets {resets.count}. Stop beat first: it writes its own back."
        command.comment("\n".join([*reset.explain(resets), ask]))
    command.confirm("Reset them?", interactive=interactive)
    reset.apply(resets, holder=lease.this_process(), using=using, now=timezone.now())
