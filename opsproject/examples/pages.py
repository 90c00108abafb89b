"""Fetches a page over http(s) and reads its title and links. No database, no Celery."""

import http.client
from html.parser import HTMLParser
from typing import NoReturn
from urllib import request
from urllib.error import HTTPError


class PageRefused(Exception):
    """A page that will not come, however often it is asked for."""


class _NothingElse(request.BaseHandler):
    """Refuses every scheme that no other handler takes, first or after a redirect."""

    def unknown_open(self, asked: request.Request) -> NoReturn:
        raise PageRefused(f"{asked.full_url!r} is neither http nor https: nothing else is fetched.")


# Exactly these: urllib's default opener would also follow file:, ftp: and data: URLs.
_HANDLERS = (
    request.HTTPHandler,
    request.HTTPSHandler,
    request.HTTPRedirectHandler,
    request.HTTPDefaultErrorHandler,
    request.HTTPErrorProcessor,
    _NothingElse,
)


def fetch(url: str, *, timeout: float, limit_bytes: int) -> str:
    """Return the page's text, at most its first ``limit_bytes``.

    ``timeout`` is in seconds, for the connection and for each read. Raises PageRefused for what no retry can mend
    (another scheme than http(s), an answer such as 404) and OSError for what one may.
    """
    opener = request.OpenerDirector()
    for handler in _HANDLERS:
        opener.add_handler(handler())
    try:
        with opener.open(url, timeout=timeout) as response:
            body = response.read(limit_bytes)
            charset = response.headers.get_content_charset("utf-8")
        return str(body, charset, errors="replace")
    except HTTPError as error:
        error.close()
        if error.code >= 500:
            raise ConnectionError(f"{url!r} answered {error.code}.") from error
        raise PageRefused(f"{url!r} answered {error.code}.") from error
    except (http.client.HTTPException, LookupError, ValueError) as error:
        raise PageRefused(f"{url!r} is no readable page: {error}.") from error


def describe(html: str) -> tuple[str, int]:
    """Return the page's title ('' without one) and its number of links."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return " ".join("".join(reader.title).split()), reader.links


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.title: list[str] = []
        self.links = 0
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_title = tag == "title" and not self.title
        self.links += tag == "a" and any(name == "href" for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        self._in_title = self._in_title and tag != "title"

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
