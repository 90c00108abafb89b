"""The full host project on the database server of $TEST_DATABASE_URL."""

import os

import environ

from .settings_full import *  # noqa: F403

DATABASES = {"default": environ.Env.db_url_config(os.environ["TEST_DATABASE_URL"])}
