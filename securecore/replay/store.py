"""Where what was seen is remembered: in the database, or in a cache that all hosts share (``REPLAY_CACHE``).

Note [What a cache promises]
    ``SET NX`` on one Redis is as atomic as the unique index. But Redis answers before a replica has the key, and a
    failover in between forgets it: within that moment a captured request may be accepted once more. A restart without
    persistence forgets all. The database forgets nothing, so it is the default.
"""

from __future__ import annotations

import datetime as dt
import uuid

from django.core.cache import caches

from securecore import database
from securecore.conf import settings
from securecore.errors import ReplayStoreUnavailable
from securecore.replay.models import SeenNonce


def claim(record: uuid.UUID, *, made_at: dt.datetime, now: dt.datetime, what: str) -> bool:
    """Remember ``record`` and say whether it was new: true once in the cluster, whoever asks at the same time.

    ``made_at`` is the instant that the request itself gives. It is kept until a host whose clock is ``CLOCK_SKEW``
    behind ours refuses that instant, which for one in the future is nearly two windows away. Commits by itself: raises
    ``Misuse`` in a transaction, whose rollback would bring ``what`` back. Raises ``ReplayStoreUnavailable`` (503) when
    the cache does not answer.
    """
    database.require_no_transaction(f"The claim of {what}")
    until = made_at + dt.timedelta(seconds=settings.REPLAY_WINDOW + settings.CLOCK_SKEW + 1)
    if settings.REPLAY_CACHE:
        return _claim_in_cache(record, seconds=(until - now).total_seconds())
    return database.claim(SeenNonce, now=now, id=record, expires_at=until)


def _claim_in_cache(record: uuid.UUID, *, seconds: float) -> bool:
    try:
        # add() is SET NX PX. Some backends answer None instead of failing: that is no yes.
        return caches[settings.REPLAY_CACHE].add(f"securecore:seen:{record.hex}", 1, timeout=seconds) is True
    except Exception as error:
        # A driver fails in many ways. Whichever it was, nobody knows whether this request is new.
        raise ReplayStoreUnavailable from error
