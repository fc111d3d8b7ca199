"""Store the record ids of seen nonces: in the database, or in a cache that all hosts share (``REPLAY_CACHE``).

Note [Guarantees of a replay cache]
    ``SET NX`` on one Redis is as atomic as the unique index. But Redis replies before its replica has the key. If Redis
    fails over in between, the key is lost, and a captured request may be accepted once more. A Redis without
    persistence loses all keys at a restart. The database loses no row, so the database is the default.
"""

from __future__ import annotations

import datetime as dt
import uuid

from django.core.cache import caches

from securecore import clock, database, meters
from securecore.conf import settings
from securecore.errors import ReplayStoreUnavailable
from securecore.replay.models import SeenNonce

#: The claim of a nonce, proof or signature.
CLAIM = database.ClaimStatement(SeenNonce, ("id", "expires_at"))


def claim(record: uuid.UUID, *, made_at: dt.datetime, now: dt.datetime, kind: str) -> bool:
    """Claim ``record`` and say whether it was new. Of concurrent calls in the cluster exactly one returns True.

    ``made_at`` is the request's own timestamp. The record stays until also a host with a clock ``clock.SKEW`` behind
    refuses that timestamp; for a timestamp in the future that takes nearly two windows. The claim commits by itself and
    raises ``Misuse`` in a transaction, because a rollback would make the nonce usable again. ``kind`` names the
    claimed value in that error, for example ``a nonce``. Raises ``ReplayStoreUnavailable`` (503) if the cache fails.
    """
    database.require_no_transaction(f"The claim of {kind}")
    until = made_at + dt.timedelta(seconds=retention())
    if settings.REPLAY_CACHE:
        return _claim_in_cache(record, seconds=(until - now).total_seconds())
    return CLAIM.take(now=now, id=record, expires_at=until)


def retention() -> int:
    """Return the seconds that a record stays after the request's own timestamp."""
    return settings.REPLAY_WINDOW + clock.SKEW + 1


def _claim_in_cache(record: uuid.UUID, *, seconds: float) -> bool:
    try:
        # add() is SET NX PX. Some backends return None for a failure, which must not count as a success.
        is_new = caches[settings.REPLAY_CACHE].add(f"securecore:seen:{record.hex}", 1, timeout=seconds) is True
    except Exception as error:
        # Drivers raise exceptions of many kinds. After each of them it is unknown whether the record was new.
        raise ReplayStoreUnavailable from error
    if not is_new:
        meters.CLAIMS_LOST.add("seennonce")
    return is_new
