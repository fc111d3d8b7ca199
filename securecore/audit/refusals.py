"""Count refusals by minute. A wave of refused requests adds a bounded number of rows, and none to a refused request.

Each process counts in memory. ``flush()`` adds the finished minutes to the table, in one statement, after a response
was sent (``http/edge/receivers.py``). A process that is killed loses the counts of at most a minute of traffic; the
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

from django.db import Error
from django.db.models import Sum

from securecore import actors, clock, database
from securecore.audit.models import RefusalCount
from securecore.conf import settings
from securecore.digests import record_id

logger = logging.getLogger("securecore")

#: The most combinations that a process keeps between two flushes. Refusals beyond that are counted by code alone.
MOST = 500
#: Seconds between two flushes of a process.
INTERVAL = 60
#: The time for which the counts are kept.
_RETENTION = dt.timedelta(days=35)


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

    def count(self, *, code: str, reason: str = "", route: str = "") -> None:
        """Count a refusal with this stable code, kind of reason and route. Runs no statement."""
        minute = clock.now().replace(second=0, microsecond=0)
        counted = _Counted(minute, code[:64], reason[:64], route[:200], actors.actor().name[:255])
        with self._lock:
            if not self._counts:
                self._since = time.monotonic()
            if counted not in self._counts and len(self._counts) >= MOST:
                counted = _Counted(minute, code[:64], "", "", "")
            self._counts[counted] += 1

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
        """Add the counts to the table. If the database does not answer, log it; the counts are lost."""
        counts = self.take()
        if not counts:
            return
        try:
            with database.connection().cursor() as cursor:
                cursor.executemany(_ADD, [_parameters(each, count) for each, count in sorted(counts.items())])
        except Error as error:
            logger.warning("the counts of %d refusals were lost: %s", counts.total(), error)


#: The refusals of this process.
refusal_counts = RefusalCounts()

_ADD = (
    "INSERT INTO securecore_refusal_count (id, minute, code, reason, route, actor, count, expires_at) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) "
    "ON CONFLICT (id) DO UPDATE SET count = securecore_refusal_count.count + excluded.count"
)


def _parameters(counted: _Counted, count: int) -> tuple[Any, ...]:
    values = {**dataclasses.asdict(counted), "count": count, "expires_at": counted.minute + _RETENTION}
    connection, fields = database.connection(), {field.name: field for field in RefusalCount._meta.concrete_fields}
    prepared = {name: fields[name].get_db_prep_save(value, connection) for name, value in values.items()}
    return (fields["id"].get_db_prep_save(counted.id, connection), *prepared.values())


def since(instant: dt.datetime) -> list[tuple[str, str, int]]:
    """Return code, reason and number of the refusals since ``instant``, the most frequent first."""
    rows = RefusalCount.objects.using(settings.DATABASE).filter(minute__gte=instant)
    return list(rows.values_list("code", "reason").annotate(total=Sum("count")).order_by("-total"))
