"""The actions that take something back, one committed transaction each.

After one of these returned, no request that starts later is served with what was revoked, on any host. They raise
``Misuse`` inside a transaction: a caller that could still roll back must not be told "revoked".
"""

from __future__ import annotations

import datetime as dt

from securecore import clock, db, events, grants, identity, tokens
from securecore.conf import settings
from securecore.sessions import Session


def revoke_grant(*, principal: str, permission: str) -> bool:
    """Take ``permission`` from ``principal``; say whether there was anything to take. Raises ``Busy`` (503)."""
    with db.committed_transaction("revoke_grant()"):
        revoked = grants.revoke(principal=principal, permission=permission, now=clock.now())
    if revoked:
        events.emit(events.GrantRevoked(principal=principal, permission=permission))
    return revoked


def revoke_token(*, issuer: str, jti: str, expires_at: dt.datetime) -> bool:
    """Refuse the access token named ``jti`` from now on; say whether it was news (RFC 7009 section 2.1)."""
    with db.committed_transaction("revoke_token()"):
        revoked = tokens.revoke(issuer=issuer, jti=jti, expires_at=expires_at, now=clock.now())
    if revoked:
        events.emit(events.TokenRevoked(jti=jti))
    return revoked


def revoke_certificate(*, thumbprint: str) -> None:
    """Refuse the certificate from now on, and end the sessions that are bound to it. Tokens bound to it need its key on
    the wire, which is refused with it."""
    with db.committed_transaction("revoke_certificate()"):
        identity.revoke(thumbprint=thumbprint, now=clock.now())
        ended = Session.objects.using(settings.DATABASE).bound_to(f"x5t#S256:{thumbprint}").end()
    events.emit(events.CertificateRevoked(thumbprint=thumbprint, sessions_ended=ended))
