"""Bounded deletes: many short transactions instead of a long one, so that other writers get their turn."""

from collections.abc import Iterator
from typing import Any

from django.db import connections, router, transaction
from django.db.models import QuerySet


def delete(rows: QuerySet[Any], *, by: str, size: int) -> Iterator[int]:
    """Delete ``rows`` in the order of the indexed field ``by``, ``size`` at a time; yield how many each time.

    Only ids are read, unless somebody listens to the model's delete signals or refers to it with a cascade:
    then Django loads one batch at a time and tells them. A row that stops matching in the meantime stays.
    """
    rows = rows.using(router.db_for_write(rows.model))
    while ids := list(rows.order_by(by).values_list("pk", flat=True)[:size]):
        yield _delete(rows, ids)


def _delete(rows: QuerySet[Any], ids: list[Any]) -> int:
    # Half of the parameters that one statement may have: the conditions of ``rows`` need some too.
    most = (connections[rows.db].features.max_query_params or 2 * len(ids)) // 2
    deleted = 0
    with transaction.atomic(using=rows.db):
        for part in _parts(ids, most):
            _, by_model = rows.filter(pk__in=part).order_by().delete()
            deleted += by_model.get(rows.model._meta.label, 0)
    return deleted


def _parts(ids: list[Any], most: int) -> Iterator[list[Any]]:
    return (ids[start : start + most] for start in range(0, len(ids), most))
