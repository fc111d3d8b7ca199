"""The actions that take something back, one committed transaction each.

After one of these returned, no request that starts later is served with what was revoked, on any host, and no effect
commits that was checked by ``authorize`` before it. They raise ``Misuse`` inside a transaction: a caller that could
still roll back must not be told "revoked". They raise ``Busy`` (503) when another transaction holds what they must
change for longer than ``LOCK_TIMEOUT``.

Triggers do the same to changes that come another way (see grants/triggers).
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.db.models import Q

from securecore import clock, db, events, grants, identity, leases, tokens
from securecore.conf import settings
from securecore.errors import Busy
from securecore.grants import gate, principals
from securecore.replay import signature_keys
from securecore.sessions import Session
from securecore.sessions.models import SessionQuerySet

Result = TypeVar("Result")


def revoke_grant(*, principal: str, permission: str, obj: Any = None) -> bool:
    """Take ``permission`` (on ``obj``) from a user, service, certificate, group or role; say whether there was anything
    to take.
    """

    def revoke() -> bool:
        with db.refused_when_locked(Busy):
            return grants.revoke(principal=principal, permission=permission, obj=obj, now=clock.now())

    db.require_no_transaction("revoke_grant()")
    revoked = _once_more_after_deadlock(revoke)
    leases.outlast()
    if revoked:
        named = ":".join(filter(None, principals.object_of(obj)))
        events.emit(events.GrantRevoked(principal=principal, permission=permission, object=named))
    return revoked


def revoke_role(*, principal: str, role: str) -> bool:
    """Take the role from a user, service, certificate or group; say whether it had it."""
    return revoke_grant(principal=principal, permission=principals.role(role))


def revoke_all_grants(*, principal: str) -> int:
    """Take everything that was granted to this user, service, certificate, group or role itself; say how much it was.

    What follows from its groups and roles goes with these.
    """
    count = _gated("revoke_all_grants()", lambda: grants.revoke_all(principal=principal, now=clock.now()))
    events.emit(events.AllGrantsRevoked(principal=principal, count=count))
    return count


def remove_from_group(*, user: Any, group: Any) -> bool:
    """Take ``user`` out of Django's ``group``; say whether it was in it."""
    own, of_group = principals.principal_of(user), principals.group(group)

    def remove() -> bool:
        gate.close(own, rows_too=(of_group,))
        was_member = bool(group.user_set.using(settings.DATABASE).filter(pk=user.pk).exists())
        group.user_set.remove(user)
        return was_member

    removed = _gated("remove_from_group()", remove)
    if removed:
        events.emit(events.GroupMembershipRevoked(principal=own, group=of_group))
    return removed


def deactivate_user(user: Any) -> None:
    """Let the user do nothing any more: its sessions end, its tokens and authorizations are refused, and so is every
    permission, whichever certificate it comes with.
    """
    own = principals.principal_of(user)

    def deactivate() -> int:
        gate.close(own)
        ended = Session.objects.using(settings.DATABASE).for_user(user.pk).end()
        get_user_model()._default_manager.using(settings.DATABASE).filter(pk=user.pk).update(is_active=False)
        tokens.epochs.advance(tokens.epochs.user_subject(str(user.pk)))
        _end_families(user_id=user.pk)
        return ended

    ended = _gated("deactivate_user()", deactivate)
    events.emit(events.UserDeactivated(user=str(user.pk), sessions_ended=ended))


def disable_client(client_id: str) -> None:
    """Refuse the registered OAuth client, its tokens and its authorizations from now on."""

    def disable() -> None:
        gate.close(principals.service(client_id))
        clients = tokens.Client.objects.using(settings.DATABASE)
        clients.filter(pk=client_id, disabled_at=None).update(disabled_at=clock.now())
        tokens.epochs.advance(tokens.epochs.client_subject(client_id))
        _end_families(client_id=client_id)

    _gated("disable_client()", disable)
    events.emit(events.ClientDisabled(client_id=client_id))


def revoke_token(*, issuer: str, jti: str, expires_at: dt.datetime) -> bool:
    """Refuse the access token named ``jti`` from now on; say whether it was news (RFC 7009 section 2.1)."""

    def revoke() -> bool:
        return tokens.revoke(issuer=issuer, jti=jti, expires_at=expires_at, now=clock.now())

    revoked = _committed("revoke_token()", revoke)
    if revoked:
        events.emit(events.TokenRevoked(jti=jti))
    return revoked


def revoke_family(family_id: uuid.UUID) -> bool:
    """End an authorization: its refresh token and all access tokens that came of it; say whether it was news."""
    revoked = _committed("revoke_family()", lambda: tokens.refresh.revoke_family(family_id, now=clock.now()))
    if revoked:
        events.emit(events.FamilyRevoked(family=str(family_id)))
    return revoked


def revoke_client_tokens(client_id: str) -> None:
    """Refuse all tokens issued to this client so far. It may ask for new ones unless it is disabled."""

    def revoke() -> None:
        tokens.epochs.advance(tokens.epochs.client_subject(client_id))
        _end_families(client_id=client_id)

    _committed("revoke_client_tokens()", revoke)
    events.emit(events.EverythingRevoked(subject=f"client:{client_id}"))


def revoke_user_tokens(user: Any) -> None:
    """Refuse all tokens of this user issued so far, whichever client holds them."""

    def revoke() -> None:
        tokens.epochs.advance(tokens.epochs.user_subject(str(user.pk)))
        _end_families(user=user)

    _committed("revoke_user_tokens()", revoke)
    events.emit(events.EverythingRevoked(subject=f"user:{user.pk}"))


def revoke_tokens_before(instant: dt.datetime) -> None:
    """Refuse every token of everybody that was issued at or before ``instant`` (of the issuing host's clock)."""

    def revoke() -> None:
        tokens.epochs.refuse_until(instant)
        _end_families(created_at__lte=instant)

    _committed("revoke_tokens_before()", revoke)
    events.emit(events.EverythingRevoked(subject="everyone"))


def retire_key(kid: str) -> bool:
    """Accept no token that this stored signing key made; say whether there was such a key."""
    retired = _committed("retire_key()", lambda: tokens.keys.retire(kid=kid, now=clock.now()))
    if retired:
        events.emit(events.KeyRetired(kid=kid))
    return retired


def revoke_signature_key(keyid: str) -> bool:
    """Accept nothing more that this registered key signs; say whether it was news."""
    revoked = _committed("revoke_signature_key()", lambda: signature_keys.revoke(keyid=keyid, now=clock.now()))
    if revoked:
        events.emit(events.SignatureKeyRevoked(keyid=keyid))
    return revoked


def revoke_certificate(*, thumbprint: str) -> None:
    """Refuse the certificate from now on, and end what was obtained under it: sessions, authorizations, and access
    tokens, also those that are bound to a DPoP key or to nothing but the client. An authorization that was redeemed
    under another certificate of its client since, a renewed one, belongs to that.

    ``thumbprint`` may be the identifier of a match. That refuses every certificate with this key or name, and ends what
    was obtained under any of them.
    """

    def revoke() -> int:
        gate.close(principals.certificate(thumbprint))
        ended = _end_sessions_of(thumbprint, Session.objects.using(settings.DATABASE).all())
        identity.revoke(thumbprint=thumbprint, now=clock.now())
        _end_families(Q(certificate=thumbprint) | Q(binding=f"x5t#S256:{thumbprint}"))
        _end_families(certificate__in=identity.thumbprints_of(thumbprint))
        return ended

    ended = _gated("revoke_certificate()", revoke)
    events.emit(events.CertificateRevoked(thumbprint=thumbprint, sessions_ended=ended))


def end_sessions(*, user: Any = None, thumbprint: str = "", reason: str) -> int:
    """End the sessions of ``user``, those opened under the certificate, or with neither all of them; say how many.

    ``thumbprint`` may be the identifier of a match: then those opened under every certificate that it describes.
    """

    def end() -> int:
        rows = Session.objects.using(settings.DATABASE).all()
        if user is not None:
            rows = rows.for_user(user)
        return _end_sessions_of(thumbprint, rows) if thumbprint else rows.end()

    count = _committed("end_sessions()", end)
    events.emit(events.SessionsEnded(count=count, reason=reason))
    return count


def _committed(what: str, work: Callable[[], Result]) -> Result:
    """Do ``work`` in a transaction that is committed when this returns; begin once more if it ended in a deadlock.

    Raises ``Busy`` (503) after too long a wait for what another request holds: who revokes must learn that nothing is
    revoked yet.
    """

    def limited() -> Result:
        db.limit_waits(settings.LOCK_TIMEOUT)
        return work()

    return _gated(what, limited)


def _gated(what: str, work: Callable[[], Result]) -> Result:
    """Like ``_committed`` for ``work`` that closes a gate first, which limits its waits too: on a busy machine every
    statement before it would be one more turn of those whom the revocation waits for.
    """

    def once() -> Result:
        with db.committed_transaction(what), db.refused_when_locked(Busy):
            result = work()
            leases.outlast()
            return result

    return _once_more_after_deadlock(once)


def _once_more_after_deadlock(work: Callable[[], Result]) -> Result:
    try:
        return work()
    except Busy as busy:
        if not db.is_deadlock(busy.__cause__):
            raise
        return work()


def _end_sessions_of(thumbprint: str, rows: SessionQuerySet) -> int:
    # Two statements, each with an index of its own: PostgreSQL would read the whole table for both conditions in one.
    described = rows.of_certificates(identity.thumbprints_of(thumbprint))
    return rows.of_certificate(thumbprint).end() + described.end()


def _end_families(*which: Q, **columns: Any) -> None:
    families = tokens.RefreshFamily.objects.using(settings.DATABASE)
    families.filter(*which, revoked_at=None, **columns).update(revoked_at=clock.now())
