"""The Django app."""

from typing import Any

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MaintenanceConfig(AppConfig):
    """Registers the system checks and the tasks."""

    name = "maintenance"
    verbose_name = _("Maintenance")
    default_auto_field = "django.db.models.BigAutoField"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        from .schedules import added

        added.watch()  # before models and tasks are imported, and may add schedules

    def ready(self) -> None:
        """Connect what must be connected once in every process."""
        from . import checks, monitoring, sent  # noqa: F401 - importing checks registers them
        from .beat import heart

        monitoring.connect()
        sent.connect()
        heart.connect()
