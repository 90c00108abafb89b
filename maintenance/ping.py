"""Pings: a monitor outside is told by HTTP, within seconds or not at all.

urllib is enough: one request, the system's certificates and HTTPS_PROXY, and no package to keep.
"""

import http.client
import threading
import urllib.error
import urllib.request
from typing import Final
from urllib.parse import urlsplit, urlunsplit

SECONDS: Final = 5.0


def signed(url: str, sign: str) -> str:
    """Return a ping URL with ``/start`` or ``/fail`` (``sign``) behind its path; an empty sign is success."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{sign}")) if sign else url


def send(url: str, *, document: bytes | None = None, seconds: float = SECONDS) -> str | None:
    """Ask for ``url``, or post a JSON document there; return why that failed, or None.

    Takes at most ``seconds`` and raises nothing.

    What is returned never holds the URL: whoever knows it may ping.
    """
    outcome: list[str | None] = []
    # In a thread, since urllib's timeout counts neither the name's lookup nor a server that answers drop by drop.
    asking = threading.Thread(target=lambda: outcome.append(_ask(url, document, seconds)), name="ping", daemon=True)
    asking.start()
    asking.join(seconds)
    return outcome[0] if outcome else _silent(seconds)


def _silent(seconds: float) -> str:
    return f"no answer within {seconds:g}s"


def _ask(url: str, document: bytes | None, seconds: float) -> str | None:
    try:
        headers = {"User-Agent": "django-maintenance", **({"Content-Type": "application/json"} if document else {})}
        request = urllib.request.Request(url, data=document, headers=headers)  # noqa: S310 - settings take http(s) only
        with urllib.request.urlopen(request, timeout=seconds):  # noqa: S310 - the same
            return None
    except urllib.error.HTTPError as error:
        error.close()
        return f"it answered {error.code}"
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            return _silent(seconds)
        return str(getattr(error.reason, "strerror", None) or error.reason)
    except TimeoutError:
        return _silent(seconds)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return getattr(error, "strerror", None) or type(error).__name__
