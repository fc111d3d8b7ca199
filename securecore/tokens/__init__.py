"""A small token service: access tokens, refresh tokens, one-time tokens, and the keys and clients behind them.

*Access tokens* are JWTs (RFC 9068) that live for five minutes. An access token is useless without the key to which the
token is bound: the key of a client certificate (RFC 8705) or a DPoP key (RFC 9449). *Refresh tokens* are opaque secrets
and belong to a family; the family ends as a whole. Each request reads the rows and epochs that record revocations, so
no worker accepts a token after its revocation returned. A revocation ends one token by its ``jti``, a family, all
tokens of a client or user by epoch, all tokens from before an instant, or all tokens of a retired signing key.

The HTTP endpoints are not here: ``securecore.http.oauth`` has them. The commands that revoke for an application are in
``securecore.revocation``.
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

__all__ = ["AccessToken", "clients", "issue", "one_time", "refresh"]
