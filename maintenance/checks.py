"""System checks: what `manage.py check` finds before anything runs."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, register

from . import conf
from .errors import ConfigurationError


@register("maintenance")
def settings_are_known(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """maintenance.E001: a key or value in settings.MAINTENANCE is wrong."""
    try:
        conf.get()
    except ConfigurationError as error:
        return [Error(error.message, hint=error.cure or None, id="maintenance.E001")]
    return []
