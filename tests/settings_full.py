"""The smallest host project with django-celery-beat and -results beside the app, for the tests that need them."""

from .settings import *  # noqa: F403
from .settings import INSTALLED_APPS as SMALLEST

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django_celery_beat",
    "django_celery_results",
    *SMALLEST,
]
