"""The guide's tasks. Each bears Celery's automatic name, opsproject.examples.tasks.<function>, and shows one pattern.

acks_late is for idempotent tasks only: a message that is acknowledged after the work comes back when its worker dies,
and the work is done again.
"""

import math
import smtplib
import time
from typing import Any

from celery import chain, shared_task
from celery.result import AsyncResult
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import F

from opsproject.celery import app

from . import abbreviations, pages
from .models import Article, PageInfo

FETCH_TIMEOUT_SECONDS = 5
LARGEST_PAGE_BYTES = 256 * 1024
LARGEST_LIMIT = 50_000_000


@shared_task(acks_late=True)
def add(x: int, y: int) -> int:
    """Take two seconds, so that the caller visibly does not wait. Idempotent."""
    time.sleep(2)
    return x + y


@app.task
def multiply(x: int, y: int) -> int:
    """Belong to this project's app: @app.task. A reusable app cannot import one: it uses @shared_task."""
    return x * y


@shared_task(
    autoretry_for=(OSError,),  # smtplib's errors are OSErrors
    dont_autoretry_for=(smtplib.SMTPAuthenticationError, smtplib.SMTPNotSupportedError),  # time does not mend these
    max_retries=3,
    retry_backoff=2,  # the countdown: 2, 4 and 8 seconds
    retry_jitter=False,
)
def notify(subject: str, message: str, recipient: str) -> int:
    """Mail through Django's backend; when the mail server fails, retry at most 3 times, each after a longer countdown.

    Acknowledged before it runs: when a worker dies, a mail is rather lost than sent twice.
    """
    return send_mail(subject, message, None, [recipient])


@shared_task(acks_late=True, soft_time_limit=60, time_limit=90)
def crunch(limit: int) -> int:
    """Count the primes below ``limit``: CPU work that CELERY_TASK_ROUTES sends to heavy_tasks. Idempotent."""
    if not 2 <= limit <= LARGEST_LIMIT:
        raise ValueError(f"limit={limit} is not between 2 and {LARGEST_LIMIT}.")
    sieve = bytearray([1]) * limit
    sieve[:2] = bytes(2)
    for number in range(2, math.isqrt(limit - 1) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, limit, number)))
    return sum(sieve)


@shared_task(ignore_result=True)
def count_view(article_id: int) -> None:
    """Leave no row in the result table: nobody asks for this one. The database adds, so no view is lost to a race.

    Not idempotent, hence not acks_late.
    """
    Article.objects.filter(pk=article_id).update(views=F("views") + 1)


@shared_task(acks_late=True)
def expand_abbreviations(article_id: int) -> int:
    """Write out an article's abbreviations; return how many. Idempotent.

    The message carries the id: a model instance in it would be as old as the message, and saving it would roll back
    every edit made since. The row is read, locked, at the last moment, and only the body is written.
    """
    with transaction.atomic():
        article = Article.objects.select_for_update().filter(pk=article_id).first()
        if article is None:  # deleted since: nothing to do
            return 0
        article.body, count = abbreviations.expand(article.body)
        if count:
            article.save(update_fields=["body"])
        return count


def update_page_info(url: str) -> "AsyncResult[Any]":
    """Fetch, parse and store as a chain: each task hands on to the next, and none waits inside a worker for another."""
    return chain(fetch_page.s(url), parse_page.s(), store_page_info.s(url)).apply_async()


@shared_task(
    acks_late=True,
    autoretry_for=(OSError,),
    max_retries=3,
    retry_backoff=True,
    retry_backoff_max=30,
    soft_time_limit=30,
    time_limit=45,
)
def fetch_page(url: str) -> str:
    """Return a page's text. Give no URL of a stranger: a worker reaches hosts that strangers cannot. Idempotent."""
    return pages.fetch(url, timeout=FETCH_TIMEOUT_SECONDS, limit_bytes=LARGEST_PAGE_BYTES)


@shared_task(acks_late=True)
def parse_page(html: str) -> dict[str, Any]:
    """Return what is worth keeping of a page. Idempotent."""
    title, links = pages.describe(html)
    return {"title": title[:300], "links": links}


@shared_task(acks_late=True)
def store_page_info(info: dict[str, Any], url: str) -> int:
    """Keep one row a URL and return its id. Idempotent."""
    row, _ = PageInfo.objects.update_or_create(url=url, defaults=info)
    return row.pk
