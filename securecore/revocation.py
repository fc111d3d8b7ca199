"""The functions that revoke, one committed transaction each.

After one of them returned, no request that starts later is served with the revoked grant, user, client, certificate,
token, key or session, on any host. Nor does an effect commit whose check passed before and depended on it: the function
closes the gates of those concerned, and a check reads behind the gate whether the caller's permission and the
credential of its request still stand. Which gates these are:

    revoke_grant, revoke_role, revoke_all_grants   the principal
    remove_from_group, deactivate_user,            the user
    revoke_user_tokens, revoke_family,
    revoke_signature_key
    disable_client, revoke_client_tokens           the service
    revoke_certificate                             the certificate, and the users of what was obtained under it
    revoke_token                                   the user or the service if it is named, else everybody
    revoke_tokens_before, retire_key               everybody
    end_sessions, end_selected_sessions            the users and the certificate concerned, or everybody

They raise ``Misuse`` inside a transaction: a caller that could still roll back must not be told "revoked". They raise
``Busy`` (503) when another transaction holds a gate or a row for longer than ``LOCK_TIMEOUT``, and the database's error
for a commit that failed. Triggers do the same for changes of grants, users, groups, certificates and clients that come
another way (see grants/triggers); for sessions and tokens these hold for later requests and checks.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet

from securecore import clock, database, events, grants, identity, leases, tokens
from securecore.conf import settings
from securecore.errors import Busy, Misuse
from securecore.grants import gate, principals
from securecore.models import SignatureKey
from securecore.replay import signature_keys
from securecore.sessions import Session, SessionQuerySet

Result = TypeVar("Result")


def revoke_grant(*, principal: str, permission: str, obj: Any = None) -> bool:
    """Take ``permission`` (on ``obj``) from a user, service, certificate, group or role; say whether there was anything
    to take.
    """

    def revoke() -> bool:
        with database.refused_when_locked(Busy):
            return grants.revoke(principal=principal, permission=permission, obj=obj, now=clock.now())

    database.require_no_transaction("revoke_grant()")
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
    _require(user=user.pk, group=group.pk)
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
    _require(user=user.pk)
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
    """Refuse the registered OAuth client, its tokens and its authorizations from now on. Raises ``Misuse`` if no client
    of this name is registered: nothing would refuse its next request.
    """

    def disable() -> None:
        gate.close(principals.service(client_id))
        clients = tokens.Client.objects.using(settings.DATABASE).filter(pk=client_id)
        if not clients.exists():
            raise Misuse(f"No client {client_id!r} is registered. Revoke its tokens by revoke_client_tokens().")
        clients.filter(disabled_at=None).update(disabled_at=clock.now())
        tokens.epochs.advance(tokens.epochs.client_subject(client_id))
        _end_families(client_id=client_id)

    _gated("disable_client()", disable)
    events.emit(events.ClientDisabled(client_id=client_id))


def revoke_token(*, issuer: str, jti: str, expires_at: dt.datetime, subject: str = "", client_id: str = "") -> bool:
    """Refuse the access token named ``jti`` from now on; say whether it was news (RFC 7009 section 2.1).

    ``subject`` and ``client_id`` are the token's, if the caller knows them: then only this user's or this client's
    effects are waited for, and not everybody's.
    """
    _require(issuer=issuer, jti=jti)

    def revoke() -> bool:
        user = principals.user(subject) if subject else None
        if user is not None or client_id:
            gate.close(user or principals.service(client_id))
        else:
            gate.close_all()
        return tokens.revoke(issuer=issuer, jti=jti, expires_at=expires_at, now=clock.now())

    revoked = _gated("revoke_token()", revoke)
    if revoked:
        events.emit(events.TokenRevoked(jti=jti))
    return revoked


def revoke_family(family_id: uuid.UUID) -> bool:
    """End an authorization: its refresh token and all access tokens that came of it; say whether it was news."""

    def revoke() -> bool:
        gate.close(*_owners(_families().filter(pk=family_id)))
        return tokens.refresh.revoke_family(family_id, now=clock.now())

    revoked = _gated("revoke_family()", revoke)
    if revoked:
        events.emit(events.FamilyRevoked(family=str(family_id)))
    return revoked


def revoke_client_tokens(client_id: str) -> None:
    """Refuse all tokens issued to this client so far. It may ask for new ones unless it is disabled."""
    _require(client_id=client_id)

    def revoke() -> None:
        gate.close(principals.service(client_id))
        tokens.epochs.advance(tokens.epochs.client_subject(client_id))
        _end_families(client_id=client_id)

    _gated("revoke_client_tokens()", revoke)
    events.emit(events.EverythingRevoked(subject=f"client:{client_id}"))


def revoke_user_tokens(user: Any) -> None:
    """Refuse all tokens of this user issued so far, whichever client holds them."""
    _require(user=user.pk)

    def revoke() -> None:
        gate.close(principals.principal_of(user))
        tokens.epochs.advance(tokens.epochs.user_subject(str(user.pk)))
        _end_families(user=user)

    _gated("revoke_user_tokens()", revoke)
    events.emit(events.EverythingRevoked(subject=f"user:{user.pk}"))


def revoke_tokens_before(instant: dt.datetime) -> None:
    """Refuse every token of everybody that was issued at or before ``instant`` (of the issuing host's clock)."""

    def revoke() -> None:
        gate.close_all()
        tokens.epochs.refuse_until(instant)
        _end_families(created_at__lte=instant)

    _gated("revoke_tokens_before()", revoke)
    events.emit(events.EverythingRevoked(subject="everyone"))


def retire_key(kid: str) -> bool:
    """Accept no token that this stored signing key made; say whether there was such a key."""

    def retire() -> bool:
        gate.close_all()
        return tokens.keys.retire(kid=kid, now=clock.now())

    retired = _gated("retire_key()", retire)
    if retired:
        events.emit(events.KeyRetired(kid=kid))
    return retired


def revoke_signature_key(keyid: str) -> bool:
    """Accept nothing more that this registered key signs; say whether it was news."""

    def revoke() -> bool:
        gate.close(*_owners(SignatureKey.objects.using(settings.DATABASE).filter(pk=keyid)))
        return signature_keys.revoke(keyid=keyid, now=clock.now())

    revoked = _gated("revoke_signature_key()", revoke)
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
    _require(thumbprint=thumbprint)

    def revoke() -> int:
        own = principals.certificate(thumbprint)
        sessions = Session.objects.using(settings.DATABASE).all()
        obtained = (
            Q(certificate=thumbprint) | Q(binding=f"x5t#S256:{thumbprint}"),
            Q(certificate__in=identity.thumbprints_of(thumbprint)),
        )
        families = [_families().filter(each, revoked_at=None) for each in obtained]
        opened = _sessions_of(thumbprint, sessions)
        _close_with_owners(*opened, *families, own=(own,))
        ended = sum(each.end() for each in opened)
        identity.revoke(thumbprint=thumbprint, now=clock.now())
        for each in obtained:
            _end_families(each)
        return ended

    ended = _gated("revoke_certificate()", revoke)
    events.emit(events.CertificateRevoked(thumbprint=thumbprint, sessions_ended=ended))


def end_sessions(*, user: Any = None, thumbprint: str = "", everybody: bool = False, reason: str) -> int:
    """End the sessions of ``user``, those opened under the certificate, or with ``everybody=True`` all of them; say how
    many. Raises ``Misuse`` where nobody is named: an empty selection ends nobody's.
    """
    if everybody == (user is not None or bool(thumbprint)):
        raise Misuse("end_sessions() wants user=..., thumbprint=... or both; everybody=True alone ends all sessions.")
    rows = Session.objects.using(settings.DATABASE).all()
    if user is not None:
        _require(user=user.pk)
        rows = rows.for_user(user)
    selected = _sessions_of(thumbprint, rows) if thumbprint else (rows,)
    own = [principals.principal_of(user)] if user is not None else []
    own += [principals.certificate(thumbprint)] if thumbprint else []
    return _end("end_sessions()", selected, reason, own=None if everybody else own)


def end_selected_sessions(rows: SessionQuerySet, *, reason: str) -> int:
    """End the sessions in ``rows``; say how many. ``SessionQuerySet.end()`` does so for later requests only; this waits
    for the effects of requests that came with these sessions, as ``end_sessions()`` does.
    """
    return _end("end_selected_sessions()", (rows,), reason, own=())


def _end(operation: str, rows: Sequence[SessionQuerySet], reason: str, *, own: Sequence[str] | None) -> int:
    def end() -> int:
        if own is None:
            gate.close_all()
        else:
            _close_with_owners(*rows, own=own)
        return sum(each.end() for each in rows)

    count = _gated(operation, end)
    events.emit(events.SessionsEnded(count=count, reason=reason))
    return count


def _close_with_owners(*rows: QuerySet[Any], own: Sequence[str]) -> None:
    """Close the gates ``own``, and those of the users of ``rows``: their requests may come under another certificate by
    now. They are read before, so that all gates close in one order; a login that came between the two is found behind
    the gate of its certificate.
    """
    before = _owners(*rows)
    gate.close(*own, *before)
    gate.close(*(_owners(*rows) - before))


def _owners(*rows: QuerySet[Any]) -> set[str]:
    """The principals of the users of these rows."""
    users = {user for each in rows for user in each.values_list("user_id", flat=True).distinct() if user is not None}
    return {f"user:{user}" for user in users}


def _families() -> QuerySet[tokens.RefreshFamily]:
    return tokens.RefreshFamily.objects.using(settings.DATABASE)


def _require(**named: Any) -> None:
    """Raise ``Misuse`` for an empty name: rows without a certificate, say, have the empty thumbprint."""
    for name, value in named.items():
        if value is None or value == "":
            raise Misuse(f"The {name} that is to be revoked is empty: pass the one of a saved row.")


def _gated(operation: str, work: Callable[[], Result]) -> Result:
    """Do ``work``, which closes a gate first, in a transaction that is committed when this returns; begin once more if
    it ended in a deadlock.

    Raises ``Busy`` (503) after too long a wait for what another request holds: who revokes must learn that nothing is
    revoked yet. Closing the gate limits the later waits too.
    """

    def once() -> Result:
        with database.committed_transaction(operation), database.refused_when_locked(Busy):
            result = work()
            leases.outlast()
            return result

    return _once_more_after_deadlock(once)


def _once_more_after_deadlock(work: Callable[[], Result]) -> Result:
    try:
        return work()
    except Busy as busy:
        if not database.is_deadlock(busy.__cause__):
            raise
        return work()


def _sessions_of(thumbprint: str, rows: SessionQuerySet) -> tuple[SessionQuerySet, SessionQuerySet]:
    """Return the sessions opened under the certificate, and those under each certificate that a match describes.

    Two queries, each with an index of its own: PostgreSQL would read the whole table for both conditions in one.
    """
    return rows.of_certificate(thumbprint), rows.of_certificates(identity.thumbprints_of(thumbprint))


def _end_families(*which: Q, **columns: Any) -> None:
    _families().filter(*which, revoked_at=None, **columns).update(revoked_at=clock.now())
