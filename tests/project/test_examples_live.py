"""The examples at work: a real web server, two workers, a Valkey and a mail server of their own."""

import json
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from http.cookiejar import CookieJar
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib import request
from urllib.parse import urlencode

import pytest
import redis

from tests.processes import Process, Project, wait_for
from tests.project.smtp import MailServer
from tests.servers import Valkey, accepts, free_port

FLAKY, DEAF = "flaky@example.com", "deaf@example.com"
PREFIX = "opsproject.examples.tasks."


class Site:
    """The running project, as a browser and a database client see it."""

    def __init__(self, project: Project, valkey: Valkey, mail: MailServer) -> None:
        self.project, self.valkey, self.mail = project, valkey, mail
        self.url = f"http://127.0.0.1:{free_port()}"
        self.cookies = CookieJar()
        self.opener = request.build_opener(request.ProxyHandler({}), request.HTTPCookieProcessor(self.cookies))
        port = int(self.url.rpartition(":")[2])
        self.web = project.start("runserver", "--noreload", f"127.0.0.1:{port}")
        self.worker = self.start_worker("default", "default", "threads", 4)
        self.heavy = self.start_worker("heavy", "heavy_tasks", "solo", 1)
        wait_for(lambda: accepts(port), about="the web server")
        for process in (self.worker, self.heavy):
            process.wait_for_line(r"@test ready")
        self.get("/")  # for the CSRF cookie

    def start_worker(self, name: str, queue: str, pool: str, concurrency: int) -> Process:
        options = ["-P", pool, "-c", str(concurrency), "-Q", queue, "-n", f"{name}@test", "-l", "INFO"]
        return self.project.spawn([sys.executable, "-m", "celery", "-A", "opsproject", "worker", *options])

    def get(self, path: str) -> str:
        with self.opener.open(self.url + path, timeout=10) as response:
            return str(response.read().decode())

    def post(self, path: str, **fields: str) -> dict[str, Any]:
        token = next(cookie.value for cookie in self.cookies if cookie.name == "csrftoken")
        headers = {"X-CSRFToken": token or "", "Accept": "application/json"}
        asked = request.Request(self.url + path, urlencode(fields).encode(), headers)  # noqa: S310 - our own server
        with self.opener.open(asked, timeout=10) as response:
            answer = json.loads(response.read())
        assert isinstance(answer, dict)
        return answer

    def status(self, task_id: str) -> dict[str, Any]:
        answer = json.loads(self.get(f"/tasks/{task_id}/"))
        assert isinstance(answer, dict)
        return answer

    def finished(self, task_id: str, *, seconds: float = 20) -> dict[str, Any]:
        """Return the task's answer once it has succeeded or failed."""

        def done() -> dict[str, Any] | None:
            answer = self.status(task_id)
            return answer if answer["status"] in ("SUCCESS", "FAILURE") else None

        answer = wait_for(done, seconds=seconds, about=f"the end of {task_id}")
        assert answer is not None
        return answer

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what a statement selects; commit what it changes."""
        with closing(sqlite3.connect(self.project.var / "db.sqlite3", timeout=10)) as database, database:
            return database.execute(statement, values).fetchall()

    def article(self, body: str) -> int:
        """Return the id of an article, written past the site: nothing is sent for it."""
        self.rows("INSERT INTO examples_article (title, body, views) VALUES ('before', ?, 0)", body)
        return int(self.rows("SELECT max(id) FROM examples_article")[0][0])

    def published(self) -> int:
        """Return how many messages were ever put in a queue."""
        with redis.Redis.from_url(self.valkey.url) as client:
            statistics = client.info("commandstats")
        assert isinstance(statistics, dict)
        return int(statistics.get("cmdstat_lpush", {"calls": 0})["calls"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("examples")
    valkey = Valkey(folder / "valkey")
    with MailServer({FLAKY: 2, DEAF: 100}) as mail:
        project = Project(
            folder / "project",
            REDIS_URL=valkey.url,
            EMAIL_URL=f"smtp://127.0.0.1:{mail.port}",
            DEFAULT_FROM_EMAIL=FLAKY,
        )
        try:
            valkey.start()
            project.manage("migrate", "--no-input", "-v", "0")
            yield Site(project, valkey, mail)
        finally:
            project.close()
            valkey.stop()


def test_the_answer_comes_at_once_and_the_result_later(site: Site) -> None:
    began = time.monotonic()
    answer = json.loads(site.get("/test/"))
    first = site.status(answer["id"])
    answered_after = time.monotonic() - began
    assert answer == {"id": answer["id"], "status": "PENDING", "url": f"/tasks/{answer['id']}/"}
    assert first["status"] in ("PENDING", "STARTED")
    assert answered_after < 1.5

    assert site.finished(answer["id"]) == {"id": answer["id"], "status": "SUCCESS", "result": 5, "error": None}
    assert time.monotonic() - began >= 2


def test_delay_and_apply_async_differ_in_their_options(site: Site) -> None:
    began = time.monotonic()
    later = site.post("/start/apply-async/")["id"]
    now = site.post("/start/delay/")["id"]
    assert site.finished(now)["result"] == 42
    assert site.finished(later)["result"] == 42
    assert time.monotonic() - began >= 1
    workers = site.rows(
        "SELECT task_name, worker FROM django_celery_results_taskresult WHERE task_id IN (?, ?)", now, later
    )
    assert workers == [(f"{PREFIX}multiply", "default@test")] * 2


def test_a_heavy_task_runs_on_the_heavy_queues_worker(site: Site) -> None:
    sent = site.post("/start/heavy/")["id"]
    assert site.finished(sent)["result"] == 148_933
    assert site.rows("SELECT worker FROM django_celery_results_taskresult WHERE task_id = ?", sent) == [("heavy@test",)]


def test_a_notification_is_retried_three_times_at_most_with_a_growing_countdown(site: Site) -> None:
    flaky = site.post("/start/notify/")["id"]
    assert wait_for(lambda: site.status(flaky)["status"] == "RETRY", about="a retry")
    deaf = site.project.python(
        f"from opsproject.examples import tasks\nprint(tasks.notify.delay('Subject', 'Message', {DEAF!r}).id)"
    ).strip()
    assert site.finished(flaky) == {"id": flaky, "status": "SUCCESS", "result": 1, "error": None}
    assert len(site.mail.asked[FLAKY]) == 3
    assert [mail for mail in site.mail.mails if "Subject: Hello" in mail and f"To: {FLAKY}" in mail] == site.mail.mails
    assert len(site.mail.mails) == 1

    failed = site.finished(deaf)
    assert (failed["status"], failed["result"]) == ("FAILURE", None)
    assert failed["error"].startswith("SMTPDataError: (451, ")
    assert "Traceback" not in json.dumps(failed)
    asked = site.mail.asked[DEAF]
    assert len(asked) == 4
    for pause, countdown in zip(pauses(asked), (2, 4, 8), strict=True):
        assert countdown - 0.1 <= pause < countdown + 5
    for pause, countdown in zip(pauses(site.mail.asked[FLAKY]), (2, 4), strict=True):
        assert countdown - 0.1 <= pause < countdown + 5


def pauses(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


def test_an_ignored_result_leaves_its_effect_and_no_row(site: Site) -> None:
    article = site.article("text")
    sent = site.post(f"/articles/{article}/views/")["id"]
    wait_for(lambda: site.rows("SELECT views FROM examples_article WHERE id = ?", article) == [(1,)])
    site.worker.wait_for_line(rf"count_view\[{sent}\] succeeded")
    assert site.rows("SELECT * FROM django_celery_results_taskresult WHERE task_id = ?", sent) == []
    assert site.status(sent)["status"] == "PENDING"


def test_the_chain_fetches_parses_and_stores_the_projects_own_page(site: Site) -> None:
    sent = site.post("/start/chain/")["id"]
    stored = site.finished(sent)["result"]
    rows = site.rows("SELECT id, url, title, links FROM examples_pageinfo")
    assert rows == [(stored, f"{site.url}/", "Celery patterns", site.get("/").count("<a href="))]

    again = site.finished(site.post("/start/chain/")["id"])["result"]
    assert again == stored
    links = site.rows(
        "SELECT task_name, status, count(*) FROM django_celery_results_taskresult WHERE task_name LIKE '%_page%'"
        " GROUP BY task_name, status ORDER BY task_name"
    )
    assert links == [(PREFIX + name, "SUCCESS", 2) for name in ("fetch_page", "parse_page", "store_page_info")]


def test_an_edit_made_while_the_task_waits_is_not_rolled_back(site: Site) -> None:
    article = site.article("MyCorp")
    site.worker.send(signal.SIGSTOP)
    try:
        sent = site.post(f"/articles/{article}/expand/")["id"]
        site.rows("UPDATE examples_article SET title = 'edited', body = 'DB, edited' WHERE id = ?", article)
    finally:
        site.worker.send(signal.SIGCONT)
    assert site.finished(sent)["result"] == 1
    rows = site.rows("SELECT title, body FROM examples_article WHERE id = ?", article)
    assert rows == [("edited", "database, edited")]
    told = site.rows("SELECT task_args FROM django_celery_results_taskresult WHERE task_id = ?", sent)
    assert [json.loads(args) for (args,) in told] == [[article]]


def test_an_article_is_expanded_once_its_transaction_is_committed(site: Site) -> None:
    article = site.post("/articles/", title="new", body="MyCorp keeps a DB.")["article"]
    expanded = "SELECT body FROM examples_article WHERE id = ?"
    wait_for(lambda: site.rows(expanded, article) == [("My Corporation keeps a database.",)], seconds=10)

    sent = site.post(f"/articles/{article}/", title="edited", body="TLS")["id"]
    assert site.finished(sent)["result"] == 1
    assert site.rows(expanded, article) == [("Transport Layer Security",)]


def test_a_rolled_back_transaction_puts_nothing_in_the_queue(site: Site) -> None:
    before = site.published()
    site.project.python(
        "from django.db import transaction\n"
        "from opsproject.examples import articles\n"
        "for title in ('unwanted', 'wanted'):\n"
        "    with transaction.atomic():\n"
        "        articles.publish(title=title, body='MyCorp')\n"
        "        transaction.set_rollback(title == 'unwanted')\n"
    )
    assert site.published() == before + 1
    written = "SELECT title, body FROM examples_article WHERE title LIKE '%wanted'"
    wait_for(lambda: site.rows(written) == [("wanted", "My Corporation")], seconds=10)
