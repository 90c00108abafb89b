"""A real Chromium, a real web process, and what the page of a signed-in person does in it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.live.conftest import project, valkey
from tests.processes import Project, wait_for
from tests.servers import accepts, free_port, missing

__all__ = ["project", "valkey"]
CHROMIUM = Path("/usr/bin/chromium")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
PASSWORD = "a password for tests"
FILL = """
from datetime import timedelta
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from django_celery_results.models import TaskResult
now = timezone.now()
for number, name in enumerate(PeriodicTask.objects.values_list("name", flat=True)):
    PeriodicTask.objects.filter(name=name).update(last_run_at=now)
    for back in range(11, 0, -1):
        failed = (back + number) % 5 == 0
        left = {"result": '{"exc_type": "ValueError", "exc_message": ["no such order: ' + "x" * 80 + '"]}'}
        left |= {"traceback": "Traceback:\\n  " + "y" * 300, "task_args": "[]", "task_kwargs": "{}"}
        row = TaskResult.objects.create(
            task_id=f"0b5e9a3c-5a0c-4d55-9d4e-{number:04}{back:08}", task_name=f"opsproject.tasks.of_{name}",
            periodic_task_name=name, status="FAILURE" if failed else "SUCCESS", **(left if failed else {}),
        )
        done = now - timedelta(hours=back, minutes=number * 7)
        TaskResult.objects.filter(pk=row.pk).update(date_done=done, date_started=done - timedelta(minutes=number * 3))
"""


@dataclass
class Site:
    """The web process of a project, and the trouble that its pages had in the browser."""

    project: Project
    url: str
    browser: Browser
    trouble: list[str] = field(default_factory=list)

    @contextmanager
    def signed_in(self, user: str = "ada", **options: Any) -> Iterator[Page]:
        """Give a page of a browser of its own, signed in to the admin."""
        context = self.browser.new_context(base_url=self.url, **options)
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.trouble.append(str(error)))
        page.goto("/admin/login/?next=/admin/")
        page.fill("#id_username", user)
        page.fill("#id_password", PASSWORD)
        page.click("input[type=submit]")
        yield page
        context.close()

    def _heard(self, said: ConsoleMessage) -> None:
        if said.type in ("error", "warning") and not said.location["url"].endswith("/favicon.ico"):
            self.trouble.append(f"{said.text} {said.location['url']}")


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Chromium, for one test: playwright's event loop would be in the way of the next one's database."""
    if not CHROMIUM.exists():
        missing("Chromium (/usr/bin/chromium)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET], env=dict(os.environ))
        yield chromium
        chromium.close()


@pytest.fixture
def site(project: Project, browser: Browser) -> Iterator[Site]:
    """opsproject's web process, with a superuser (ada) and somebody who may only look (grace)."""
    project.python(
        "from django.contrib.auth.models import Permission, User\n"
        f"User.objects.create_superuser('ada', password={PASSWORD!r})\n"
        f"grace = User.objects.create_user('grace', password={PASSWORD!r}, is_staff=True)\n"
        "grace.user_permissions.add(Permission.objects.get(codename='view_operations'))\n"
    )
    port = free_port()
    project.start("runserver", "--noreload", f"127.0.0.1:{port}")
    wait_for(lambda: accepts(port), about="the web process")
    yield (found := Site(project, f"http://127.0.0.1:{port}", browser))
    assert found.trouble == []


@pytest.fixture
def filled(site: Site) -> Site:
    """The same with schedules, half a day of results, some of them failures, and a backup."""
    site.project.manage("sync_schedules", "--noinput")
    site.project.python(FILL)
    site.project.manage("backup")
    return site
