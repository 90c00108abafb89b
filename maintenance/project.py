"""The host project's Celery app: found without configuration where the project follows Celery's guide."""

import importlib.util
import threading
from dataclasses import dataclass, field
from typing import Any

from celery import Celery, current_app, signals
from celery.app.utils import find_app
from kombu import Connection
from kombu.utils.url import maybe_sanitize_url

from .errors import CeleryAppMissing, ConfigurationError

_discovering = threading.local()


class TasksNotImportable(ConfigurationError):
    """The project's tasks cannot be imported: {reason}."""

    hint = "Mend the module that it names, or install what is missing."


@dataclass(frozen=True)
class Found:
    """A Celery app, the name that ``celery -A`` knows it by, and why it is this one."""

    app: Celery = field(repr=False)
    name: str
    reason: str

    @property
    def broker(self) -> str:
        """The broker's URL with its password masked."""
        return masked(self.app.conf.broker_read_url or self.app.conf.broker_url)


def celery_app(*, flag: str | None, setting: str | None, settings_module: str) -> Found:
    """Return the project's Celery app: the flag's, else the setting's, else the settings package's, else current_app.

    Raises CeleryAppMissing, which lists what was tried, and lets import errors of a named app through as its cause.
    """
    for name, reason in ((flag, "-A"), (setting, 'MAINTENANCE["WORKER"]["APP"]')):
        if name:
            return Found(_import(name), name, reason)
    parents = settings_module.split(".")[:-1]
    packages = [".".join(parents[:length]) for length in range(len(parents), 0, -1)]
    for package in packages:
        if importlib.util.find_spec(f"{package}.celery") is not None:
            return Found(_import(package), package, f"{package}.celery beside the settings")
    main = current_app.main
    if main and main != "default" and importlib.util.find_spec(main) is not None:
        return Found(_import(main), main, "the current app")
    raise CeleryAppMissing(tried=", ".join(f"{package}.celery" for package in packages) or settings_module)


def discover(app: Celery) -> bool:
    """Import the task modules of ``app`` and finalize it, as beat and workers do. Raises TasksNotImportable.

    Returns False when it is already at it: Celery runs the system checks before it imports, and they ask for the tasks.
    """
    if getattr(_discovering, "busy", False):
        return False
    loader: Any = app.loader
    if loader.worker_initialized:
        # Beat and workers have done it. Again, Celery would call django.setup(), which silences their loggers.
        app.finalize()
        return True
    _discovering.busy = True
    _leave_django_alone(app)
    try:
        loader.import_default_modules()
    except ImportError as error:
        raise TasksNotImportable(reason=str(error)) from error
    finally:
        _discovering.busy = False
    app.finalize()
    return True


def _leave_django_alone(app: Celery) -> None:
    """Keep Celery from setting Django up once more: that would begin logging anew, and run every system check."""
    for fixup in getattr(app, "_fixups", None) or ():
        receiver = getattr(fixup, "on_import_modules", None)
        if receiver is not None:
            signals.import_modules.disconnect(receiver, sender=app)


def on_redis(app: Celery) -> bool:
    """Return whether ``app``'s broker is Redis or Valkey, by whichever of kombu's names. Connects to nothing."""
    return _driver(app) == "redis"


def tells_redelivery(app: Celery) -> bool:
    """Return whether messages of ``app``'s broker say that they are delivered again. Connects to nothing."""
    return _driver(app) in ("redis", "amqp")


def _driver(app: Celery) -> str:
    transport: Any = Connection(app.conf.broker_write_url or app.conf.broker_url).transport
    return str(transport.driver_type)


def setting_name(app: Celery, option: str) -> str:
    """Return a Celery setting's name as the project writes it."""
    namespace = getattr(app, "namespace", None)
    return f"{namespace}_{option.upper()}" if namespace else f"app.conf.{option}"


def masked(url: object) -> str:
    """Return a broker or cache URL (or a list of them) without passwords."""
    if isinstance(url, list | tuple):
        return ";".join(masked(each) for each in url)
    return ";".join(str(maybe_sanitize_url(each)) for each in str(url or "memory://").split(";"))


def _import(name: str) -> Celery:
    try:
        app = find_app(name)
    except (ImportError, AttributeError) as error:
        raise CeleryAppMissing(tried=f"{name}: {error}") from error
    if not isinstance(app, Celery):
        raise CeleryAppMissing(tried=f"{name}: it has no Celery app")
    return app
