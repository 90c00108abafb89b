"""The Django app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MaintenanceConfig(AppConfig):
    """Registers the system checks and the tasks."""

    name = "maintenance"
    verbose_name = _("Maintenance")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect what must be connected once in every process."""
        from . import checks, monitoring  # noqa: F401 - importing checks registers them

        monitoring.connect()
