"""The nonce that a server hands out for DPoP proofs (RFC 9449 sections 8 and 9), without a table.

A nonce is an HMAC of the number of a five-minute window, so every worker and host gives and accepts the same ones and
nobody can make the next one in advance. It may be used many times: what is accepted once is the proof. It dates a proof
by our own clock, so that proofs made in advance, by whoever held the key for a moment, are worth ten minutes at most.
"""

from __future__ import annotations

import datetime as dt
import hmac
from collections.abc import Iterator

from django.utils.crypto import salted_hmac

from securecore import digests
from securecore.conf import django_settings, settings

#: Seconds. The current and the previous window are accepted, so a nonce lives for five to ten minutes.
WINDOW = 300
#: Its own key out of SECRET_KEY: no other signature made with it is a nonce.
_SALT = "securecore.replay.server_nonce"


def current(now: dt.datetime) -> str:
    """Return the nonce to send as ``DPoP-Nonce``: 43 characters of base64url (section 8.1)."""
    return _nonce(_window(now), django_settings.SECRET_KEY)


def is_valid(presented: str, now: dt.datetime) -> bool:
    """Say whether ``presented`` is a nonce that one of our hosts gave in the current or the previous window.

    ``SECRET_KEY_FALLBACKS`` count too, so that a key can be rotated. Never raises, whatever is presented.
    """
    given = presented.encode("utf-8", "surrogatepass")
    secrets = (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS)
    # compare_digest: how much of a guess was right must not be told by the time that the answer took.
    return any(
        hmac.compare_digest(given, _nonce(window, secret).encode())
        for secret in secrets
        for window in _accepted_windows(now)
    )


def _accepted_windows(now: dt.datetime) -> Iterator[int]:
    current_window = _window(now)
    yield current_window
    yield current_window - 1
    # A host whose clock is ahead of ours already gives the nonces of the next window.
    ahead = _window(now + dt.timedelta(seconds=settings.CLOCK_SKEW))
    if ahead != current_window:
        yield ahead


def _window(instant: dt.datetime) -> int:
    return int(instant.timestamp()) // WINDOW


def _nonce(window: int, secret: str | bytes) -> str:
    return digests.base64url(salted_hmac(_SALT, str(window), secret=secret, algorithm="sha256").digest())
