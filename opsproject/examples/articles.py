"""Articles are written inside a transaction; their tasks are sent once it is committed, or never.

Sent earlier, a task could run before its row is visible, or for a row that was rolled back.
"""

from functools import partial

from celery.utils import uuid
from django.db import transaction

from .models import Article
from .tasks import expand_abbreviations


@transaction.atomic
def publish(*, title: str, body: str) -> Article:
    """Create an article and expand it after the commit: the short form, which tells no task id."""
    article = Article.objects.create(title=title, body=body)
    expand_abbreviations.delay_on_commit(article.pk)  # type: ignore[attr-defined]  # of Celery's DjangoTask
    return article


@transaction.atomic
def edit(*, article_id: int, title: str, body: str) -> str:
    """Change an article and expand it after the commit; return the id that its task will have.

    Raises Article.DoesNotExist.
    """
    article = Article.objects.select_for_update().get(pk=article_id)
    article.title, article.body = title, body
    article.save(update_fields=["title", "body"])
    task_id = uuid()
    transaction.on_commit(partial(expand_abbreviations.apply_async, (article_id,), task_id=task_id))
    return task_id
