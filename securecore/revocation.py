"""The actions that take something back, one committed transaction each.

After one of these returned, no request that starts later is served with what was revoked, on any host. They raise
``Misuse`` inside a transaction: a caller that could still roll back must not be told "revoked". They raise ``Busy``
(503) when another transaction holds what they must change for longer than ``LOCK_TIMEOUT``.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.models import Q

from securecore import clock, db, events, grants, identity, leases, tokens
from securecore.conf import settings
from securecore.errors import Busy
from securecore.sessions import Session


def revoke_grant(*, principal: str, permission: str) -> bool:
    """Take ``permission`` from ``principal``; say whether there was anything to take."""
    with _recorded("revoke_grant()"):
        revoked = grants.revoke(principal=principal, permission=permission, now=clock.now())
    if revoked:
        events.emit(events.GrantRevoked(principal=principal, permission=permission))
    return revoked


def revoke_token(*, issuer: str, jti: str, expires_at: dt.datetime) -> bool:
    """Refuse the access token named ``jti`` from now on; say whether it was news (RFC 7009 section 2.1)."""
    with _recorded("revoke_token()"):
        revoked = tokens.revoke(issuer=issuer, jti=jti, expires_at=expires_at, now=clock.now())
    if revoked:
        events.emit(events.TokenRevoked(jti=jti))
    return revoked


def revoke_family(family_id: uuid.UUID) -> bool:
    """End an authorization: its refresh token and all access tokens that came of it; say whether it was news."""
    with _recorded("revoke_family()"):
        revoked = tokens.refresh.revoke_family(family_id, now=clock.now())
    if revoked:
        events.emit(events.FamilyRevoked(family=str(family_id)))
    return revoked


def revoke_client_tokens(client_id: str) -> None:
    """Refuse all tokens issued to this client so far. It may ask for new ones unless it is disabled."""
    with _recorded("revoke_client_tokens()"):
        tokens.epochs.advance(tokens.epochs.client_subject(client_id))
        _end_families(client_id=client_id)
    events.emit(events.EverythingRevoked(subject=f"client:{client_id}"))


def revoke_user_tokens(user: Any) -> None:
    """Refuse all tokens of this user issued so far, whichever client holds them."""
    with _recorded("revoke_user_tokens()"):
        tokens.epochs.advance(tokens.epochs.user_subject(str(user.pk)))
        _end_families(user=user)
    events.emit(events.EverythingRevoked(subject=f"user:{user.pk}"))


def revoke_tokens_before(instant: dt.datetime) -> None:
    """Refuse every token of everybody that was issued at or before ``instant`` (of the issuing host's clock)."""
    with _recorded("revoke_tokens_before()"):
        tokens.epochs.refuse_until(instant)
        _end_families(created_at__lte=instant)
    events.emit(events.EverythingRevoked(subject="everyone"))


def retire_key(kid: str) -> bool:
    """Accept no token that this stored signing key made; say whether there was such a key."""
    with _recorded("retire_key()"):
        retired = tokens.keys.retire(kid=kid, now=clock.now())
    if retired:
        events.emit(events.KeyRetired(kid=kid))
    return retired


def revoke_certificate(*, thumbprint: str) -> None:
    """Refuse the certificate from now on, and end what was obtained under it: sessions, authorizations, and access
    tokens, also those that are bound to a DPoP key or to nothing but the client. An authorization that was redeemed
    under another certificate of its client since, a renewed one, belongs to that.
    """
    with _recorded("revoke_certificate()"):
        identity.revoke(thumbprint=thumbprint, now=clock.now())
        ended = Session.objects.using(settings.DATABASE).of_certificate(thumbprint).end()
        _end_families(Q(certificate=thumbprint) | Q(binding=f"x5t#S256:{thumbprint}"))
    events.emit(events.CertificateRevoked(thumbprint=thumbprint, sessions_ended=ended))


def end_sessions(*, user: Any = None, thumbprint: str = "", reason: str) -> int:
    """End the sessions of ``user``, those opened under the certificate, or with neither all of them; say how many."""
    with _recorded("end_sessions()"):
        rows = Session.objects.using(settings.DATABASE).all()
        if user is not None:
            rows = rows.for_user(user)
        if thumbprint:
            rows = rows.of_certificate(thumbprint)
        count = rows.end()
    events.emit(events.SessionsEnded(count=count, reason=reason))
    return count


@contextmanager
def _recorded(what: str) -> Iterator[None]:
    """A transaction that is committed when the block has ended. Raises ``Busy`` (503) after too long a wait for a row
    that another request holds: who revokes must learn that nothing is revoked yet.
    """
    with db.committed_transaction(what), db.bounded_wait(Busy):
        yield
        leases.outlast()


def _end_families(*which: Q, **columns: Any) -> None:
    families = tokens.RefreshFamily.objects.using(settings.DATABASE)
    families.filter(*which, revoked_at=None, **columns).update(revoked_at=clock.now())
