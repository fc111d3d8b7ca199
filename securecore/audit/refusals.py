"""Count refusals by minute. A wave of refused requests adds a bounded number of rows, and none to a refused request.

Each process counts in memory. ``flush()`` adds the finished minutes to the table, after a response
was sent (``http/edge/receivers.py``), and the same numbers to the totals of each minute and hour, which the control
room reads. A process that is killed loses the counts of at most a minute of traffic; the
events of these refusals are in the log.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.db import Error, models, transaction
from django.db.models import Sum

from securecore import actors, clock, database
from securecore.audit.models import RefusalCount, RefusalTotal
from securecore.conf import settings
from securecore.digests import record_id
from securecore.texts import shown

logger = logging.getLogger("securecore")

#: The most combinations that a process keeps between two flushes. Refusals beyond that are counted by code alone.
MOST = 500
#: Seconds between two flushes of a process.
INTERVAL = 60
#: The time for which the counts are kept.
_RETENTION = dt.timedelta(days=35)
#: The lengths in seconds of the times that have totals, and the time for which the totals are kept.
MINUTE, HOUR = 60, 3_600
_KEPT = {MINUTE: dt.timedelta(hours=2), HOUR: _RETENTION}


@dataclass(frozen=True, order=True, slots=True)
class _Counted:
    minute: dt.datetime
    code: str
    reason: str
    route: str
    actor: str

    @property
    def id(self) -> object:
        return record_id("refusals", self.minute.isoformat(), self.code, self.reason, self.route, self.actor)


class RefusalCounts:
    """The counts of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[_Counted] = Counter()
        self._since = 0.0

    def count(self, *, code: str, reason: str = "", route: str = "", actor: str = "") -> None:
        """Count a refusal with this stable code, kind of reason, route and actor. Runs no statement.

        ``actor`` is a principal; without one the actor of the block stands for it. One name that the database cannot
        store would keep all counts of the process from the table, so it is escaped.
        """
        name = shown(actor or actors.actor().name)
        minute = clock.now().replace(second=0, microsecond=0)
        counted = _Counted(minute, code[:64], reason[:64], route[:200], name[:255])
        with self._lock:
            self._add(counted, 1)

    def _add(self, counted: _Counted, count: int) -> None:
        if not self._counts:
            self._since = time.monotonic()
        if counted not in self._counts and len(self._counts) >= MOST:
            counted = dataclasses.replace(counted, reason="", route="", actor="")
        self._counts[counted] += count

    @property
    def is_due(self) -> bool:
        """Whether the oldest count has waited for ``INTERVAL``."""
        return bool(self._counts) and time.monotonic() - self._since >= INTERVAL

    def take(self) -> Counter[_Counted]:
        """Return the counts and forget them."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            return counts

    def flush(self) -> None:
        """Add the counts to the table. If the database does not answer, log it; the counts wait for the next flush."""
        counts = self.take()
        if not counts:
            return
        try:
            with transaction.atomic(using=settings.DATABASE), database.connection().cursor() as cursor:
                cursor.executemany(_ADD_COUNT, [_parameters(each, count) for each, count in sorted(counts.items())])
                cursor.executemany(_ADD_TOTAL, [_total_parameters(*each) for each in sorted(_totals(counts).items())])
        except Error as error:
            logger.warning("the counts of %d refusals wait for the database: %s", counts.total(), error)
            with self._lock:
                for counted, count in counts.items():
                    self._add(counted, count)


#: The refusals of this process.
refusal_counts = RefusalCounts()


def _adding(model: type[models.Model], columns: str) -> str:
    """Return the INSERT that adds to the row's ``count`` if the row is there already."""
    table = model._meta.db_table
    places = ", ".join("%s" for _ in columns.split(", "))
    return (
        f"INSERT INTO {table} ({columns}) VALUES ({places}) "  # noqa: S608
        f"ON CONFLICT (id) DO UPDATE SET count = {table}.count + excluded.count"
    )


_ADD_COUNT = _adding(RefusalCount, "id, minute, code, reason, route, actor, count, expires_at")
_ADD_TOTAL = _adding(RefusalTotal, "id, seconds, begins, code, reason, count, expires_at")


def _parameters(counted: _Counted, count: int) -> tuple[Any, ...]:
    values = {**dataclasses.asdict(counted), "count": count, "expires_at": counted.minute + _RETENTION}
    return _prepared(RefusalCount, {"id": counted.id, **values})


#: Seconds, beginning, code and reason.
_Total = tuple[int, dt.datetime, str, str]


def _totals(counts: Counter[_Counted]) -> Counter[_Total]:
    totals = Counter[_Total]()
    for counted, count in counts.items():
        for seconds, begins in ((MINUTE, counted.minute), (HOUR, counted.minute.replace(minute=0))):
            totals[seconds, begins, counted.code, counted.reason] += count
    return totals


def _total_parameters(total: _Total, count: int) -> tuple[Any, ...]:
    seconds, begins, code, reason = total
    values = {"seconds": seconds, "begins": begins, "code": code, "reason": reason, "count": count}
    row_id = record_id("refusals", str(seconds), begins.isoformat(), code, reason)
    return _prepared(RefusalTotal, {"id": row_id, **values, "expires_at": begins + _KEPT[seconds]})


def _prepared(model: type[models.Model], values: dict[str, Any]) -> tuple[Any, ...]:
    connection = database.connection()
    fields: dict[str, Any] = {field.name: field for field in model._meta.concrete_fields}
    return tuple(fields[name].get_db_prep_save(value, connection) for name, value in values.items())


def since(instant: dt.datetime) -> list[tuple[str, str, int]]:
    """Return code, reason and number of the refusals since the minute of ``instant``, the most frequent first."""
    minute = instant.replace(second=0, microsecond=0)
    rows = RefusalCount.objects.using(settings.DATABASE).filter(minute__gte=minute)
    return list(rows.values_list("code", "reason").annotate(total=Sum("count")).order_by("-total"))


def totals_since(instant: dt.datetime, *, seconds: int, limit: int) -> list[tuple[dt.datetime, str, str, int]]:
    """Return rows of ``begins``, code, reason and number since ``instant``, of each minute or hour, the last first.

    ``seconds`` is ``MINUTE`` or ``HOUR``. The rows of the first times are left out if there are more than ``limit``.
    """
    rows = RefusalTotal.objects.using(settings.DATABASE).filter(seconds=seconds, begins__gte=instant)
    return list(rows.order_by("-begins").values_list("begins", "code", "reason", "count")[:limit])
