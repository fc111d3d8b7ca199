"""Revoke an access token of which only the ``jti`` is known, for example from a log."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from securecore import clock
from securecore.conf import settings
from securecore.revocation import revoke_token
from securecore.tokens import simplejwt

#: Seconds. No access token lives for a day: docs/tokens.md, W302.
_LONGEST_LIFETIME = 86_400
#: The form of a ``jti`` by issuer: ``digests.new_identifier()``, and ``uuid4().hex`` in simplejwt.
_OURS, _OF_SIMPLEJWT = re.compile("[A-Za-z0-9_-]{22}"), re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class RevokedJti:
    """The result of a revocation.

    ``was_live``: the token was not revoked before. ``until``: the instant until which the token is refused. ``doubt``:
    a sentence about a ``jti`` in a form that no issuer uses, else "".
    """

    was_live: bool
    until: dt.datetime
    doubt: str


def revoke_jti(jti: str) -> RevokedJti:
    """Refuse the access token with this ``jti``, of each issuer whose tokens are accepted and may have such a ``jti``.

    Access tokens are not stored, so nobody can say whether the token exists; its form shows the most frequent mistakes.
    The revocation waits for the effects of everyone, since a ``jti`` names no user. Raises ``Busy`` (503) and
    ``Misuse``.
    """
    lifetime: float = max(settings.ACCESS_TOKEN_LIFETIME, _LONGEST_LIFETIME)
    if simplejwt.is_accepted():
        lifetime = max(lifetime, simplejwt.lifetime())
    until = clock.now() + dt.timedelta(seconds=lifetime)
    revoked = [revoke_token(issuer=issuer, jti=jti, expires_at=until) for issuer in _issuers_of(jti) or _forms()]
    return RevokedJti(any(revoked), until, doubt_about_jti(jti))


def doubt_about_jti(jti: str) -> str:
    """Return a sentence of doubt for a ``jti`` that no issuer gives; "" for any other."""
    return "" if _issuers_of(jti) else _DOUBT


def _issuers_of(jti: str) -> list[str]:
    return [issuer for issuer, form in _forms().items() if form.fullmatch(jti)]


def _forms() -> dict[str, re.Pattern[str]]:
    """Return the form of a ``jti`` by each issuer whose tokens are accepted."""
    return {settings.TOKEN_ISSUER: _OURS} | ({simplejwt.ISSUER: _OF_SIMPLEJWT} if simplejwt.is_accepted() else {})


_DOUBT = (
    "No issuer here uses a jti of this form: the jti of an access token has 22 characters of base64url, that of "
    "simplejwt 32 hexadecimal digits. Compare it."
)
