"""New rows in bulk, without an instance for each."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import AutoField, Field, Model

Values = tuple[Any, ...]


def insert(model: type[Model], names: Sequence[str], rows: Sequence[Values], *, using: str) -> None:
    """Write ``rows`` of the fields ``names``, within a transaction; other fields are as a new instance has them.

    What bulk_create does, its batches and silence (no signals) too, at a fraction of the time.
    """
    if not rows:
        return
    connection = connections[using]
    meta, fresh = model._meta, model()
    given: list[Field[Any, Any]] = [field for field in map(meta.get_field, names) if isinstance(field, Field)]
    others = [field for field in meta.concrete_fields if field not in given and not isinstance(field, AutoField)]
    by_field = zip(*rows, strict=True)
    columns = [_converted(field, values, connection) for field, values in zip(given, by_field, strict=True)]
    columns += [_converted(field, [field.pre_save(fresh, add=True)], connection) * len(rows) for field in others]
    fields, written = (*given, *others), list(zip(*columns, strict=True))
    size = max(connection.ops.bulk_batch_size(fields, written), 1)
    with connection.cursor() as cursor:
        for some in (written[start : start + size] for start in range(0, len(written), size)):
            cursor.execute(_statement(meta.db_table, fields, len(some), connection), list(chain.from_iterable(some)))


def _converted(field: "Field[Any, Any]", values: Sequence[Any], connection: BaseDatabaseWrapper) -> list[Any]:
    """Return ``values`` as the database takes them; most of a column are one and the same object, converted once."""
    ready = {key: field.get_db_prep_save(value, connection) for key, value in {id(v): v for v in values}.items()}
    return [ready[id(value)] for value in values]


def _statement(table: str, fields: "Sequence[Field[Any, Any]]", count: int, connection: BaseDatabaseWrapper) -> str:
    quote = connection.ops.quote_name
    row = f"({', '.join(['%s'] * len(fields))})"
    columns = ", ".join(quote(str(field.column)) for field in fields)
    return f"INSERT INTO {quote(table)} ({columns}) VALUES {', '.join([row] * count)}"  # noqa: S608
