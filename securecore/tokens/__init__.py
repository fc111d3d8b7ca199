"""A small token service: access tokens, refresh tokens, one-time tokens, and the keys and clients behind them.

*Access tokens* are JWTs of RFC 9068 that live for five minutes and are useless without the key they are bound to:
that of a client certificate (RFC 8705) or a DPoP key (RFC 9449). *Refresh tokens* are opaque and live in families
that die together. Every revocation is a row or a count that each request reads, so no worker accepts a token after it
returned: one token by its ``jti``, a family, a client or a user by epoch, everything before an instant, a retired
signing key.
"""

from securecore.tokens import clients, epochs, keys, one_time, refresh, simplejwt
from securecore.tokens.access import AccessToken, audience, is_our_type, issue, verify
from securecore.tokens.models import (
    Client,
    OneTimeToken,
    RefreshFamily,
    RefreshToken,
    RevokedToken,
    SigningKey,
    TokenEpoch,
)
from securecore.tokens.revoked import revocation_id, revoke

__all__ = [
    "AccessToken",
    "Client",
    "OneTimeToken",
    "RefreshFamily",
    "RefreshToken",
    "RevokedToken",
    "SigningKey",
    "TokenEpoch",
    "audience",
    "clients",
    "epochs",
    "is_our_type",
    "issue",
    "keys",
    "one_time",
    "refresh",
    "revocation_id",
    "revoke",
    "simplejwt",
    "verify",
]
