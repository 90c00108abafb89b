"""The examples' pages, rules and messages, without a worker."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client

from opsproject import celery_app
from opsproject.examples import abbreviations, articles, tasks
from opsproject.examples.models import Article, PageInfo
from opsproject.examples.views import PATTERNS
from tests.project.conftest import Outbox

UNKNOWN = "00000000-0000-4000-8000-000000000000"
PREFIX = "opsproject.examples.tasks."

GETS = ["/", "/test/", f"/tasks/{UNKNOWN}/"]
POSTS = [
    *(f"/start/{name}/" for name in PATTERNS),
    "/articles/",
    "/articles/1/",
    "/articles/1/expand/",
    "/articles/1/views/",
]


@pytest.fixture
def debug(settings: Any) -> None:
    settings.DEBUG = True


@pytest.fixture
def production(settings: Any, tmp_path: Path) -> None:
    settings.DEBUG = False
    settings.STATIC_ROOT = tmp_path  # where collectstatic would have been


def sign_in(client: Client, *, staff: bool) -> None:
    client.force_login(User.objects.create_user("someone", is_staff=staff))


# --- Who may


@pytest.mark.django_db
@pytest.mark.parametrize("staff", [None, False])
@pytest.mark.parametrize(("method", "url"), [("get", url) for url in GETS] + [("post", url) for url in POSTS])
def test_in_production_only_staff_may_start_work(
    client: Client, outbox: Outbox, production: None, staff: bool | None, method: str, url: str
) -> None:
    Article.objects.create(pk=1, title="t", body="b")
    if staff is not None:
        sign_in(client, staff=staff)
    response = client.get(url) if method == "get" else client.post(url, {"title": "t", "body": "b"})
    assert (response.status_code, response.headers["Location"]) == (302, f"/admin/login/?next={url}")
    assert (outbox.count(), outbox.count("heavy_tasks"), Article.objects.count()) == (0, 0, 1)


@pytest.mark.django_db
def test_in_production_staff_may(client: Client, outbox: Outbox, production: None) -> None:
    sign_in(client, staff=True)
    assert [client.get(url).status_code for url in GETS] == [200, 200, 200]
    assert client.post("/start/delay/").status_code == 200
    assert outbox.count() == 2


@pytest.mark.django_db
def test_in_debug_anybody_may(client: Client, outbox: Outbox, debug: None) -> None:
    assert [client.get(url).status_code for url in GETS] == [200, 200, 200]
    assert client.post("/start/delay/").status_code == 200
    assert outbox.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize("url", POSTS)
def test_what_changes_something_needs_a_post_with_its_csrf_token(outbox: Outbox, debug: None, url: str) -> None:
    client = Client(enforce_csrf_checks=True)
    Article.objects.create(pk=1, title="t", body="b")
    assert client.get(url).status_code == 405
    assert client.post(url, {"title": "t", "body": "b"}).status_code == 403
    assert outbox.count() == 0

    client.get("/")
    token = client.cookies["csrftoken"].value
    response = client.post(url, {"title": "t", "body": "b", "csrfmiddlewaretoken": token})
    assert response.status_code == (201 if url == "/articles/" else 200)


@pytest.mark.django_db
@pytest.mark.parametrize("url", GETS)
def test_what_only_tells_something_refuses_a_post(client: Client, debug: None, url: str) -> None:
    assert client.post(url).status_code == 405


# --- What is sent


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "queue", "task", "args"),
    [
        ("delay", "default", "multiply", [6, 7]),
        ("apply-async", "default", "multiply", [6, 7]),
        ("notify", "default", "notify", ["Hello", "The notification task sent this.", "ops@localhost"]),
        ("heavy", "heavy_tasks", "crunch", [2_000_000]),
        ("chain", "default", "fetch_page", ["http://testserver/"]),
    ],
)
def test_a_button_sends_its_task_to_its_queue(
    client: Client, outbox: Outbox, debug: None, name: str, queue: str, task: str, args: list[Any]
) -> None:
    answer = client.post(f"/start/{name}/").json()
    assert answer == {"id": answer["id"], "status": "PENDING", "url": f"/tasks/{answer['id']}/"}
    assert outbox.take(queue) == (PREFIX + task, args)
    assert (outbox.count(), outbox.count("heavy_tasks")) == (0, 0)


def test_the_patterns_are_all_of_these() -> None:
    assert list(PATTERNS) == ["delay", "apply-async", "notify", "heavy", "chain"]


@pytest.mark.django_db
def test_an_unknown_pattern_is_not_found(client: Client, debug: None) -> None:
    assert client.post("/start/nothing/").status_code == 404


def test_tasks_bear_celerys_automatic_names() -> None:
    assert {name for name in celery_app.tasks if name.startswith("opsproject.examples")} == {
        PREFIX + name
        for name in (
            "add",
            "multiply",
            "notify",
            "crunch",
            "count_view",
            "expand_abbreviations",
            "fetch_page",
            "parse_page",
            "store_page_info",
        )
    }


@pytest.mark.django_db
def test_a_broker_that_is_away_is_told_in_one_line(client: Client, debug: None) -> None:
    response = client.get("/test/")
    assert response.status_code == 503
    assert response.json() == {
        "error": "The broker does not answer, so nothing was queued. "
        "Start it: `manage.py run_broker`, or see REDIS_URL."
    }


# --- A task's status


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", ["42", "nonsense", UNKNOWN[:-1], f"{UNKNOWN}0", UNKNOWN.replace("-", ""), "x" * 300])
def test_a_malformed_task_id_is_refused(client: Client, debug: None, wrong: str) -> None:
    response = client.get(f"/tasks/{wrong}/")
    assert response.status_code == 400
    assert response.json() == {
        "error": f"{wrong[:60]!r} is not a task id. Write the UUID that came back when the task was started."
    }


@pytest.mark.django_db
def test_a_task_that_nobody_ran_is_pending(client: Client, debug: None) -> None:
    assert client.get(f"/tasks/{UNKNOWN}/").json() == {
        "id": UNKNOWN,
        "status": "PENDING",
        "result": None,
        "error": None,
    }


@pytest.mark.django_db
def test_a_running_task_tells_nothing_of_its_worker(client: Client, debug: None) -> None:
    celery_app.backend.store_result(UNKNOWN, {"pid": 1, "hostname": "worker@secret"}, "STARTED")
    assert client.get(f"/tasks/{UNKNOWN}/").json() == {
        "id": UNKNOWN,
        "status": "STARTED",
        "result": None,
        "error": None,
    }


@pytest.mark.django_db
def test_a_failure_is_told_without_its_traceback(client: Client, debug: None) -> None:
    celery_app.backend.store_result(UNKNOWN, ValueError("no such limit"), "FAILURE", traceback="File secret.py")
    response = client.get(f"/tasks/{UNKNOWN}/")
    assert response.json() == {
        "id": UNKNOWN,
        "status": "FAILURE",
        "result": None,
        "error": "ValueError: no such limit",
    }


# --- The page


class Labels(HTMLParser):
    """Collects ids, and what refers to them."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.references: set[str] = set()
        self.fields: set[str] = set()
        self.labelled: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if "id" in values:
            self.ids.append(values["id"])
        for name in ("aria-labelledby", "aria-describedby", "for"):
            self.references |= set(values.get(name, "").split())
        if tag in ("input", "textarea") and values.get("type") != "hidden":
            self.fields.add(values["id"])
        if tag == "label":
            self.labelled.add(values["for"])


@pytest.mark.django_db
def test_the_page_has_a_button_for_every_pattern_and_a_label_for_every_field(client: Client, debug: None) -> None:
    Article.objects.create(pk=1, title="<b>bold</b>", body="MyCorp")
    PageInfo.objects.create(url="http://testserver/", title="Celery patterns", links=2)
    page = client.get("/").content.decode()
    for name in PATTERNS:
        assert f'action="/start/{name}/"' in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "<b>bold</b>" not in page
    labels = Labels()
    labels.feed(page)
    assert len(labels.ids) == len(set(labels.ids))
    assert labels.references <= set(labels.ids)
    assert labels.fields == labels.labelled == {"id_title", "id_body"}


@pytest.mark.django_db
@pytest.mark.parametrize("url", [url for url in POSTS if url != "/articles/1/views/"])
def test_a_browser_comes_back_to_the_page_with_a_message(client: Client, outbox: Outbox, debug: None, url: str) -> None:
    Article.objects.create(pk=1, title="t", body="b")
    response = client.post(url, {"title": "t", "body": "b"}, follow=True, headers={"accept": "text/html,*/*;q=0.8"})
    assert response.redirect_chain == [("/", 302)]
    assert '<ul role="status"><li>' in response.content.decode()


# --- Articles


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MyCorp keeps a DB.", ("My Corporation keeps a database.", 2)),
        ("DBA, MyCorps and TLS1 are other words.", ("DBA, MyCorps and TLS1 are other words.", 0)),
        ("", ("", 0)),
    ],
)
def test_abbreviations_are_whole_words(text: str, expected: tuple[str, int]) -> None:
    assert abbreviations.expand(text) == expected


def test_expanding_twice_changes_nothing() -> None:
    once, _ = abbreviations.expand(" ".join(abbreviations.EXPANSIONS))
    assert abbreviations.expand(once) == (once, 0)


@pytest.mark.django_db(transaction=True)
def test_the_task_is_sent_when_the_transaction_is_committed_and_not_before(outbox: Outbox) -> None:
    with transaction.atomic():
        article = articles.publish(title="t", body="MyCorp")
        assert outbox.count() == 0
    assert outbox.take() == (f"{PREFIX}expand_abbreviations", [article.pk])


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_transaction_sends_nothing(outbox: Outbox) -> None:
    article = Article.objects.create(title="before", body="before")
    with transaction.atomic():
        articles.publish(title="t", body="MyCorp")
        articles.edit(article_id=article.pk, title="after", body="after")
        transaction.set_rollback(True)
    assert outbox.count() == 0
    assert list(Article.objects.values_list("title", "body")) == [("before", "before")]


@pytest.mark.django_db(transaction=True)
def test_an_edit_knows_its_tasks_id_before_the_commit(client: Client, outbox: Outbox, debug: None) -> None:
    article = Article.objects.create(title="before", body="before")
    with transaction.atomic():
        task_id = articles.edit(article_id=article.pk, title="after", body="MyCorp")
        assert outbox.count() == 0
    assert client.get(f"/tasks/{task_id}/").json()["status"] == "PENDING"
    assert outbox.take() == (f"{PREFIX}expand_abbreviations", [article.pk])


@pytest.mark.django_db
@pytest.mark.parametrize("url", ["/articles/7/", "/articles/7/expand/", "/articles/7/views/"])
def test_an_article_that_is_not_there_is_not_found(client: Client, outbox: Outbox, debug: None, url: str) -> None:
    assert client.post(url, {"title": "t", "body": "b"}).status_code == 404
    assert outbox.count() == 0


@pytest.mark.django_db
@pytest.mark.parametrize("url", ["/articles/", "/articles/1/"])
def test_an_incomplete_article_is_refused(client: Client, outbox: Outbox, debug: None, url: str) -> None:
    Article.objects.create(pk=1, title="before", body="before")
    response = client.post(url, {"title": "", "body": "MyCorp"})
    assert (response.status_code, response.json()) == (400, {"errors": {"title": ["This field is required."]}})
    assert list(Article.objects.values_list("title", "body")) == [("before", "before")]
    assert outbox.count() == 0


@pytest.mark.django_db
def test_an_article_that_was_deleted_meanwhile_costs_nothing() -> None:
    assert tasks.expand_abbreviations(7) == 0


@pytest.mark.django_db(transaction=True)
def test_an_edit_made_while_the_task_waits_is_kept_where_an_instance_would_roll_it_back() -> None:
    article = Article.objects.create(title="before", body="MyCorp")
    as_sent = Article.objects.get(pk=article.pk)

    Article.objects.filter(pk=article.pk).update(title="edited", body="MyCorp, edited")
    assert tasks.expand_abbreviations(article.pk) == 1
    article.refresh_from_db()
    assert (article.title, article.body) == ("edited", "My Corporation, edited")

    as_sent.body, _ = abbreviations.expand(as_sent.body)
    as_sent.save()  # what a task with an instance in its message would do
    article.refresh_from_db()
    assert (article.title, article.body) == ("before", "My Corporation")


@pytest.mark.django_db
def test_an_edit_made_between_the_tasks_read_and_its_write_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    article = Article.objects.create(title="before", body="MyCorp")
    expand = abbreviations.expand

    def expand_meanwhile(text: str) -> tuple[str, int]:
        Article.objects.filter(pk=article.pk).update(title="edited", views=9)
        return expand(text)

    monkeypatch.setattr(abbreviations, "expand", expand_meanwhile)
    assert tasks.expand_abbreviations(article.pk) == 1
    article.refresh_from_db()
    assert (article.title, article.body, article.views) == ("edited", "My Corporation", 9)


# --- Crunching


@pytest.mark.parametrize(
    ("limit", "primes"), [(2, 0), (3, 1), (4, 2), (5, 2), (100, 25), (121, 30), (122, 30), (1_000_000, 78_498)]
)
def test_primes_are_counted(limit: int, primes: int) -> None:
    assert tasks.crunch(limit) == primes


@pytest.mark.parametrize("limit", [1, 0, -5, tasks.LARGEST_LIMIT + 1])
def test_a_limit_that_would_eat_the_worker_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match=f"limit={limit} is not between 2 and 50000000"):
        tasks.crunch(limit)


# --- The admin


@pytest.mark.django_db
def test_the_admin_shows_what_the_examples_keep(admin_client: Client, debug: None) -> None:
    article = Article.objects.create(title="an article", body="b")
    page = PageInfo.objects.create(url="http://testserver/", title="a page", links=2)
    for name, row in (("article", article), ("pageinfo", page)):
        assert str(row) in admin_client.get(f"/admin/examples/{name}/").content.decode()
        assert admin_client.get(f"/admin/examples/{name}/{row.pk}/change/").status_code == 200
    assert admin_client.get("/admin/examples/article/add/").status_code == 200
    assert admin_client.get("/admin/examples/pageinfo/add/").status_code == 403
