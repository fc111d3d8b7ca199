"""The nonce that a server issues for DPoP proofs (RFC 9449 sections 8 and 9), without a table.

A nonce is an HMAC of the number of a five-minute window. So every worker and host issues and accepts the same nonces,
and nobody without ``SECRET_KEY`` can compute the next nonce. Many proofs may hold the same nonce; each proof is
accepted once. The nonce dates a proof by the server's clock. Example: an attacker has the client's key for a minute and
makes proofs in advance. Those proofs work for ten minutes at most.
"""

from __future__ import annotations

import datetime as dt
import hmac
from collections.abc import Iterator

from django.utils.crypto import salted_hmac

from securecore import clock
from securecore.conf import django_settings
from securecore_client.wire.thumbprints import base64url

#: Seconds. The current and the previous window are accepted, so a nonce lives for five to ten minutes.
WINDOW = 300
#: Derives a separate key from SECRET_KEY, so that no other signature under SECRET_KEY is a nonce.
_SALT = "securecore.replay.server_nonce"


def current(now: dt.datetime) -> str:
    """Return the nonce to send as ``DPoP-Nonce``: 43 characters of base64url (section 8.1)."""
    return _nonce(_window(now), django_settings.SECRET_KEY)


def is_valid(presented: str, now: dt.datetime) -> bool:
    """Say whether a host of the application issued the nonce in the current or the previous window.

    Nonces under ``SECRET_KEY_FALLBACKS`` count too, so that ``SECRET_KEY`` can be rotated. Never raises.
    """
    given = presented.encode("utf-8", "surrogatepass")
    secrets = (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS)
    # compare_digest: the response time must not show how many characters of a guess were right.
    return any(
        hmac.compare_digest(given, _nonce(window, secret).encode())
        for secret in secrets
        for window in _accepted_windows(now)
    )


def _accepted_windows(now: dt.datetime) -> Iterator[int]:
    current_window = _window(now)
    yield current_window
    yield current_window - 1
    # A host with a fast clock already issues the nonce of the next window.
    ahead = _window(now + dt.timedelta(seconds=clock.SKEW))
    if ahead != current_window:
        yield ahead


def _window(instant: dt.datetime) -> int:
    return int(instant.timestamp()) // WINDOW


def _nonce(window: int, secret: str | bytes) -> str:
    return base64url(salted_hmac(_SALT, str(window), secret=secret, algorithm="sha256").digest())
