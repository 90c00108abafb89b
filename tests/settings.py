"""The smallest host project: INSTALLED_APPS names the app, and nothing else is set for it."""

import os

SECRET_KEY = "tests-only"
USE_TZ = True
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("TEST_DATABASE", ":memory:")},
}
INSTALLED_APPS = ["maintenance"]
CELERY_BROKER_URL = os.environ.get("TEST_BROKER_URL", "memory://")
