"""Access tokens: JWTs of RFC 9068, bound to the client certificate (RFC 8705), revocable at once.

A token lives for five minutes, names itself (``jti``), and is useless without the key of the certificate it was
issued to. ``revoke`` puts its ``jti`` under a unique key; every request looks there, so no worker accepts it after
the call returned.
"""

from securecore.tokens.access import AccessToken, issue, verify
from securecore.tokens.models import RevokedToken
from securecore.tokens.revoked import revocation_id, revoke

__all__ = ["AccessToken", "RevokedToken", "issue", "revocation_id", "revoke", "verify"]
