"""Lists that stay fast beside ten million rows: no count of the whole, a bounded text search, and a limit of time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from django.core.paginator import Paginator
from django.db import OperationalError, transaction
from django.db.models import Q, QuerySet

from securecore import database
from securecore.conf import settings

#: Rows of a list that an operator can page through. More than these call for a search.
MOST = 10_000
#: Rows that a search for a part of a text reads: no index answers such a search.
NEWEST = 10_000
#: Milliseconds. PostgreSQL ends a query of a list after this time.
_LONGEST_QUERY = 5_000
#: PostgreSQL: query_canceled.
_CANCELED = "57014"


class TooSlow(Exception):
    """PostgreSQL ended a query of a list, because it took longer than five seconds."""


class FirstRows(Paginator):  # type: ignore[type-arg]  # not generic at run time
    """Pages of the first ``MOST`` rows. The count stops there: COUNT(*) of ten million rows takes seconds."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        counted: int = rows.values("pk")[: MOST + 1].count()
        self.is_cut = counted > MOST
        return min(counted, MOST)


def named_exactly(rows: QuerySet[Any], condition: Q) -> QuerySet[Any] | None:
    """Return the rows that meet a condition with an index, in their order; None if no row does.

    The keys are read first, without the order. With the order, PostgreSQL expects the rows of a name to lie evenly in
    the table, and reads the index of the order instead: 9 million audit rows for an actor whose rows are all old.
    """
    matching = rows.filter(condition)
    keys = list(matching.order_by().values_list("pk", flat=True)[: MOST + 1])
    if not keys:
        return None
    return rows.filter(pk__in=keys) if len(keys) <= MOST else matching


def containing(rows: QuerySet[Any], text: str, fields: tuple[str, ...]) -> QuerySet[Any]:
    """Return those of the first ``NEWEST`` of the ordered ``rows`` that have ``text`` in one of ``fields``."""
    has_text = Q()
    for field in fields:
        has_text |= Q((f"{field}__icontains", text))
    return rows.filter(has_text, pk__in=rows.values("pk")[:NEWEST])


@contextmanager
def limited_time() -> Iterator[None]:
    """End each query of the block after five seconds, on PostgreSQL; then raise ``TooSlow``."""
    try:
        with transaction.atomic(using=settings.DATABASE):
            connection = database.connection()
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute(f"SET LOCAL statement_timeout = {_LONGEST_QUERY}")
            yield
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", getattr(error.__cause__, "pgcode", None)) != _CANCELED:
            raise
        raise TooSlow from error
