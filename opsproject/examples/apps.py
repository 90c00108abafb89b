"""The examples' app."""

from django.apps import AppConfig


class ExamplesConfig(AppConfig):
    """Registers the examples' tasks and models."""

    name = "opsproject.examples"
    label = "examples"
    verbose_name = "Examples"
