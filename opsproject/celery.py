"""The Celery app, the way Celery's guide for Django sets it up."""

import os
from typing import Any

from celery import Celery
from celery.app.task import Task

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsproject.settings")

app = Celery("opsproject")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@app.task(bind=True, ignore_result=False)
def debug_task(self: "Task[Any, Any]") -> dict[str, Any]:
    """Tell which worker ran this: doctor's proof that the whole way works."""
    return {"id": self.request.id, "hostname": self.request.hostname}
