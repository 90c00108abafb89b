"""ASGI entry point."""

import os

from django.core.asgi import get_asgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsproject.settings")

application = get_asgi_application()
# Imports every view now: Django does it at the first request, which would pay for it.
get_resolver().url_patterns  # noqa: B018
