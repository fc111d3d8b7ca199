"""Parse a request's timestamp and claim its nonce."""

from __future__ import annotations

import datetime as dt
import re

from securecore import digests
from securecore.conf import settings
from securecore.errors import (
    NonceMalformed,
    NonceMissing,
    NonceReused,
    TimestampMalformed,
    TimestampMissing,
    TimestampStale,
)
from securecore.replay import store

#: ASCII digits only: int() would also accept signs, spaces, underscores and the digits of other scripts. Eleven digits
#: reach the year 5138.
_UNIX_SECONDS = re.compile(r"[0-9]{1,11}")
#: Visible ASCII without the comma, by which servers join two headers. 16 characters of base64url are 96 random bits;
#: 128 characters leave room for a signature as the nonce. The same numbers are in ``message_signature``, the title of
#: ``NonceMalformed``, http/openapi.py and docs/replay.md.
_NONCE = re.compile(r"[!-+\--~]{16,128}")


def parse_timestamp(presented: str | None, *, now: dt.datetime) -> dt.datetime:
    """Return the instant in a presented ``X-Request-Timestamp`` (Unix seconds).

    Raises ``TimestampMissing``, ``TimestampMalformed``, or ``TimestampStale`` if the instant lies more than
    ``REPLAY_WINDOW`` seconds before or after ``now``.
    """
    if not presented:
        raise TimestampMissing
    if not _UNIX_SECONDS.fullmatch(presented):
        raise TimestampMalformed
    made_at = dt.datetime.fromtimestamp(int(presented), dt.UTC)
    if abs(made_at - now) > dt.timedelta(seconds=settings.REPLAY_WINDOW):
        raise TimestampStale(f"It must be within {settings.REPLAY_WINDOW} seconds of the server's clock.")
    return made_at


def claim_nonce(presented: str | None, *, scope: str, made_at: dt.datetime, now: dt.datetime) -> None:
    """Claim a nonce for ``scope`` (the caller), once in the cluster. Commits by itself.

    Raises ``NonceMissing``, ``NonceMalformed``, ``NonceReused``, ``Misuse`` in a transaction, and the exceptions of
    ``store.claim``.
    """
    if not presented:
        raise NonceMissing
    if not _NONCE.fullmatch(presented):
        raise NonceMalformed
    if not store.claim(digests.record_id("nonce", scope, presented), made_at=made_at, now=now, kind="a nonce"):
        raise NonceReused
