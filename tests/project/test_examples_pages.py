"""The examples' fetching and describing of pages, from a server of their own."""

import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from opsproject.examples import pages, tasks
from opsproject.examples.models import PageInfo


class Answers(BaseHTTPRequestHandler):
    """Answers by path: a status and a body, or a redirect."""

    pages = {
        "/page": (200, "text/html; charset=latin-1", "<title>Caf\xe9\n au lait</title><a href=1>1</a><a name=x>x</a>"),
        "/odd": (200, "text/html; charset=martian", "<title>odd</title>"),
        "/missing": (404, "text/html", "no"),
        "/broken": (503, "text/html", "no"),
    }
    redirects = {"/moved": "/page", "/file": "file:///etc/passwd"}

    def do_GET(self) -> None:
        if self.path in self.redirects:
            self.send_response(302)
            self.send_header("Location", self.redirects[self.path])
            self.end_headers()
            return
        status, content_type, body = self.pages[self.path]
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.end_headers()
        self.wfile.write(body.encode("latin-1"))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(url: str, *, timeout: float = 2, limit_bytes: int = 1000) -> str:
    return pages.fetch(url, timeout=timeout, limit_bytes=limit_bytes)


@pytest.mark.parametrize("path", ["/page", "/moved"])
def test_a_page_is_fetched_and_described(origin: str, path: str) -> None:
    assert pages.describe(fetch(origin + path)) == ("Caf\xe9 au lait", 1)


@pytest.mark.parametrize("limit_bytes", [6, 7])
def test_a_page_is_read_up_to_a_limit(origin: str, limit_bytes: int) -> None:
    assert fetch(f"{origin}/page", limit_bytes=limit_bytes) == "<title>"[:limit_bytes]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("file:///etc/passwd", "'file:///etc/passwd' is neither http nor https: nothing else is fetched."),
        ("ftp://127.0.0.1/x", "'ftp://127.0.0.1/x' is neither http nor https: nothing else is fetched."),
        ("data:text/html,x", "'data:text/html,x' is neither http nor https: nothing else is fetched."),
        ("page", "'page' is no readable page: unknown url type: 'page'."),
    ],
)
def test_only_http_is_fetched(url: str, why: str) -> None:
    with pytest.raises(pages.PageRefused) as refused:
        fetch(url)
    assert str(refused.value) == why


def test_a_redirect_leads_to_no_file(origin: str) -> None:
    with pytest.raises(pages.PageRefused, match="/file' answered 302"):
        fetch(f"{origin}/file")


def test_a_redirect_leads_to_no_other_kind_of_server(origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ftp:
        ftp.settimeout(0)
        elsewhere = f"ftp://127.0.0.1:{ftp.getsockname()[1]}/x"
        monkeypatch.setitem(Answers.redirects, "/ftp", elsewhere)
        with pytest.raises(pages.PageRefused, match=re.escape(f"'{elsewhere}' is neither http nor https")):
            fetch(f"{origin}/ftp")
        with pytest.raises(BlockingIOError):  # nobody called
            ftp.accept()


@pytest.mark.parametrize("path", ["/missing", "/odd", "/a b"])
def test_what_no_retry_mends_is_refused(origin: str, path: str) -> None:
    with pytest.raises(pages.PageRefused, match=re.escape(f"'{origin}{path}' ")):
        fetch(origin + path)


def test_a_server_error_is_worth_a_retry(origin: str) -> None:
    with pytest.raises(ConnectionError, match="/broken' answered 503"):
        fetch(f"{origin}/broken")


def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TimeoutError):
        fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout=0.2)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("", ("", 0)),
        ("<title>One</title><svg><title>Two</title></svg>", ("One", 0)),
        ("<title>&lt;a href=x&gt;</title><A HREF='x'>", ("<a href=x>", 1)),
        ("<title>unclosed", ("unclosed", 0)),
    ],
)
def test_odd_pages_are_described(html: str, expected: tuple[str, int]) -> None:
    assert pages.describe(html) == expected


@pytest.mark.django_db
def test_storing_a_page_twice_keeps_one_row() -> None:
    first = tasks.store_page_info({"title": "one", "links": 1}, "http://testserver/")
    assert tasks.store_page_info(tasks.parse_page("<title>two"), "http://testserver/") == first
    assert list(PageInfo.objects.values_list("url", "title", "links")) == [("http://testserver/", "two", 0)]
