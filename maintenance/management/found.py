"""How the doors find the project's Celery app and its optional neighbours."""

from django.apps import apps
from django.conf import settings

from maintenance import conf, process, project
from maintenance.errors import AppNotInstalled


def celery_app(flag: str | None = None) -> project.Found:
    """Return the project's Celery app (``flag`` is -A). Raises CeleryAppMissing."""
    # override_settings hides the name of the module.
    module = settings.SETTINGS_MODULE or process.environment().get("DJANGO_SETTINGS_MODULE", "")
    return project.celery_app(flag=flag, setting=conf.get().worker.app, settings_module=module)


def require_beat_tables() -> None:
    """Raise AppNotInstalled, which names the line to add, when django-celery-beat is not among the project's apps."""
    if not apps.is_installed("django_celery_beat"):
        raise AppNotInstalled(package="django_celery_beat", distribution="django-celery-beat")
