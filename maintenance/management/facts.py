"""How the doors collect what rules look at."""

import sys
from pathlib import Path

from celery import Celery
from django.conf import settings

from maintenance import conf, process
from maintenance.health.rules import Facts


def facts(app: Celery) -> Facts:
    """Return what rules look at, with the Procfile beside manage.py. Raises UnknownSetting, BadSetting."""
    return Facts(app=app, settings=settings, ours=conf.get(), environ=process.environment(), procfile=procfile())


def procfile() -> str | None:
    """Return the text of the Procfile in BASE_DIR, else beside manage.py; None where there is none."""
    script = Path(getattr(sys.modules.get("__main__"), "__file__", None) or "")
    folder = getattr(settings, "BASE_DIR", None) or (script.parent if script.name == "manage.py" else None)
    file = Path(folder) / "Procfile" if folder else None
    return file.read_text("utf-8", errors="replace") if file and file.is_file() else None
