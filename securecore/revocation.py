"""The functions that revoke, one committed transaction each.

Once a function here has returned, no request that starts later is served with the revoked grant, user, client,
certificate, token, key or session, on any host. Nor does an effect commit after a check that depended on the revoked
row: the function closes the gates of the principals concerned, and a check reads behind the gate whether the caller's
permission and the credential of its request are still live. The gates of each function:

    revoke_grant, revoke_role, revoke_all_grants   the principal
    remove_from_group, deactivate_user,            the user
    revoke_user_tokens, revoke_family,
    revoke_signature_key
    disable_client, revoke_client_tokens           the service
    revoke_certificate                             the certificate, and the users of sessions and families under it
    revoke_token                                   the user or the service if it is named, else all gates
    revoke_tokens_before, retire_key               all gates
    end_sessions, end_selected_sessions            the users and the certificate concerned, or all gates

Each raises ``Misuse`` inside a transaction, which could roll the revocation back after the function has returned. Each
raises ``Busy`` (503) when another transaction holds a gate or a row for longer than ``LOCK_TIMEOUT``, and the
database's error for a failed commit.

Triggers do the same for changes of grants, users, groups, certificates and clients outside securecore (see
grants/triggers). A change of sessions and tokens outside securecore closes no gate: later requests and checks see the
change, but it does not wait for effects.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet

from securecore import audit, clock, database, events, grants, identity, leases, meters, tokens, user_model
from securecore.arguments import require_instant, require_name, require_past, require_text, require_user, require_uuid
from securecore.conf import settings
from securecore.errors import Busy, Misuse
from securecore.grants import gate, principals
from securecore.models import SignatureKey
from securecore.replay import signature_keys
from securecore.sessions import Session, SessionQuerySet, end_reported
from securecore.texts import quoted
from securecore.thumbprints import require_thumbprint

Result = TypeVar("Result")
_Events = events.Event | Sequence[events.Event] | None


def revoke_grant(*, principal: str, permission: str, obj: Any = None) -> bool:
    """Revoke ``permission`` (on ``obj``) of a user, service, certificate, group or role; say whether it was granted."""

    def revoke() -> bool:
        with database.refused_when_locked(Busy):
            return grants.revoke(principal=principal, permission=permission, obj=obj, now=clock.now())

    database.require_no_transaction("revoke_grant()")
    with meters.REVOCATION.timed("revoke_grant"):
        revoked = database.retry_after_deadlock(revoke)
        leases.outlast()
    if revoked:
        named = ":".join(filter(None, principals.object_of(obj)))
        events.emit(events.GrantRevoked(principal=principal, permission=permission, object=named))
    return revoked


def revoke_role(*, principal: str, role: str) -> bool:
    """Revoke the role of a user, service, certificate or group; say whether that principal had the role."""
    return revoke_grant(principal=principal, permission=principals.role(role))


def revoke_all_grants(*, principal: str) -> int:
    """Revoke all grants of this user, service, certificate, group or role itself; return their number.

    Its roles are grants, so they are revoked too. The permissions of its groups stay.
    """
    count = _gated("revoke_all_grants()", lambda: grants.revoke_all(principal=principal, now=clock.now()))
    if count:  # then revoke_all() has written the audit row
        events.emit(events.AllGrantsRevoked(principal=principal, count=count))
    return count


def remove_from_group(*, user: Any, group: Any) -> bool:
    """Remove ``user`` from Django's ``group``; say whether the user was a member.

    Raises ``Misuse`` for a user model without groups of Django.
    """
    user_model.require_groups()
    own, of_group = principals.principal_of(user), principals.group(group)

    def remove() -> bool:
        gate.close(own, rows_too=(of_group,))
        was_member = user_model.is_member(user, group, settings.DATABASE)
        user.groups.remove(group.pk)  # a project may give the other side, ``user_set``, another name or none
        return was_member

    event = events.GroupMembershipRevoked(principal=own, group=of_group)
    return _gated("remove_from_group()", remove, lambda removed: event if removed else None)


def deactivate_user(user: Any) -> None:
    """Deactivate the user: end its sessions, and refuse its tokens, its refresh-token families and every permission.

    The user's certificates stay enrolled, but no certificate gives the user a permission. Raises ``Misuse`` for a user
    model without a column ``is_active`` that a statement can set.
    """
    user_model.require_settable_activity()
    own = principals.principal_of(user)

    def deactivate() -> int:
        gate.close(own)
        ended = Session.objects.using(settings.DATABASE).for_user(user.pk).end()
        get_user_model()._default_manager.using(settings.DATABASE).filter(pk=user.pk).update(is_active=False)
        tokens.epochs.advance(tokens.epochs.user_subject(str(user.pk)))
        _end_families(user_id=user.pk)
        return ended

    own_key = str(user.pk)
    _gated("deactivate_user()", deactivate, lambda ended: events.UserDeactivated(user=own_key, sessions_ended=ended))


def disable_client(client_id: str) -> bool:
    """Disable the registered OAuth client: refuse the client, its tokens and its refresh-token families.

    Returns False, without a further audit row, if the client was disabled already.

    Raises ``Misuse`` if no client of this name is registered: without a row, nothing would refuse its next request.
    """

    require_name(client_id=client_id)

    def disable() -> bool:
        gate.close(principals.service(client_id))
        clients = tokens.Client.objects.using(settings.DATABASE).filter(pk=client_id)
        if not clients.exists():
            raise Misuse(f"No client {quoted(client_id)} is registered. Revoke its tokens by revoke_client_tokens().")
        is_new = clients.filter(disabled_at=None).update(disabled_at=clock.now()) == 1
        tokens.epochs.advance(tokens.epochs.client_subject(client_id))
        _end_families(client_id=client_id)
        return is_new

    return _gated("disable_client()", disable, lambda new: events.ClientDisabled(client_id=client_id) if new else None)


def revoke_token(*, issuer: str, jti: str, expires_at: dt.datetime, subject: str = "", client_id: str = "") -> bool:
    """Revoke the access token named ``jti``; say whether it was live (RFC 7009 section 2.1).

    Pass ``subject`` or ``client_id`` of the token if known. Then the revocation waits only for the effects of this user
    or this client; else it waits for those of all principals. Raises ``Misuse`` for a subject that cannot be a key.
    """
    require_name(issuer=issuer, jti=jti)
    require_text(client_id=client_id)
    require_instant(expires_at=expires_at)
    user = principals.of_subject(subject)

    def revoke() -> bool:
        _close_for_token(user, client_id)
        return tokens.revoke(issuer=issuer, jti=jti, expires_at=expires_at, now=clock.now())

    return _gated("revoke_token()", revoke, lambda revoked: events.TokenRevoked(jti=jti) if revoked else None)


def revoke_family(family_id: uuid.UUID) -> bool:
    """Revoke a refresh-token family with all its refresh and access tokens; say whether it was live."""
    require_uuid(family_id, "pass request.auth.family_id, or RefreshFamily.pk")

    def revoke() -> bool:
        gate.close(*_owners(_families().filter(pk=family_id)))
        return tokens.refresh.revoke_family(family_id, now=clock.now())

    event = events.FamilyRevoked(family=str(family_id))
    return _gated("revoke_family()", revoke, lambda revoked: event if revoked else None)


def revoke_client_tokens(client_id: str) -> None:
    """Revoke all tokens issued to this client so far. The client may get new tokens unless it is disabled."""
    require_name(client_id=client_id)

    def revoke() -> None:
        _close_for_token(None, client_id)
        tokens.epochs.advance(tokens.epochs.client_subject(client_id))
        _end_families(client_id=client_id)

    _gated("revoke_client_tokens()", revoke, lambda _: events.EverythingRevoked(subject=f"client:{client_id}"))


def revoke_user_tokens(user: Any) -> None:
    """Revoke all tokens of this user issued so far, to any client."""
    own = principals.principal_of(user)

    def revoke() -> None:
        gate.close(own)
        tokens.epochs.advance(tokens.epochs.user_subject(str(user.pk)))
        _end_families(user=user)

    _gated("revoke_user_tokens()", revoke, lambda _: events.EverythingRevoked(subject=f"user:{user.pk}"))


def revoke_tokens_before(instant: dt.datetime) -> None:
    """Revoke every token that was issued at or before ``instant``, by the clock of the issuing host.

    Raises ``Misuse`` for an instant more than ``clock.SKEW`` seconds ahead: each new token would be refused until then.
    """
    require_past("revoke_tokens_before", instant)

    def revoke() -> None:
        gate.close_all()
        tokens.epochs.refuse_until(instant)
        _end_families(created_at__lte=instant)

    _gated("revoke_tokens_before()", revoke, lambda _: events.EverythingRevoked(subject="everyone"))


def retire_key(kid: str) -> bool:
    """Retire this stored signing key, so that no token signed by it is accepted; say whether the key was live."""

    def retire() -> bool:
        gate.close_all()
        return tokens.keys.retire(kid=kid, now=clock.now())

    return _gated("retire_key()", retire, lambda retired: events.KeyRetired(kid=kid) if retired else None)


def revoke_signature_key(keyid: str) -> bool:
    """Revoke this registered key, so that no request signed by it is accepted; say whether the key was live."""

    def revoke() -> bool:
        gate.close(*_owners(SignatureKey.objects.using(settings.DATABASE).filter(pk=keyid)))
        return signature_keys.revoke(keyid=keyid, now=clock.now())

    event = events.SignatureKeyRevoked(keyid=keyid)
    return _gated("revoke_signature_key()", revoke, lambda revoked: event if revoked else None)


def revoke_certificate(*, thumbprint: str) -> bool:
    """Revoke the certificate, and end the sessions, refresh-token families and access tokens obtained under it.

    Returns False, without a further audit row, if it was revoked already and nothing under it was live.

    That includes tokens that are bound to a DPoP key, and tokens that are bound to their client only. If the client has
    redeemed a refresh token under another certificate since, for example a renewed one, the family belongs to that
    certificate and stays.

    ``thumbprint`` may be the identifier of a match. Then every certificate with this key or name is refused, and the
    sessions, families and tokens obtained under each of them end.
    """
    thumbprint = require_thumbprint(thumbprint)

    def revoke() -> list[events.Event]:
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
        is_new = identity.revoke(thumbprint=thumbprint, now=clock.now())
        has_changed = any([is_new, ended, *[_end_families(each) for each in obtained]])
        return [events.CertificateRevoked(thumbprint=thumbprint, sessions_ended=ended)] if has_changed else []

    return bool(_gated("revoke_certificate()", revoke, lambda written: written))


def end_sessions(*, user: Any = None, thumbprint: str = "", everybody: bool = False, reason: str) -> int:
    """End the sessions of ``user``, those under the certificate, or with ``everybody=True`` all; return their number.

    With both ``user`` and ``thumbprint``, only the user's sessions under this certificate end. Raises ``Misuse``
    without any of the three, since an empty selection would silently end no session.
    """
    if everybody == (user is not None or bool(thumbprint)):
        raise Misuse("end_sessions() needs user=..., thumbprint=... or both; everybody=True alone ends all sessions.")
    thumbprint = require_thumbprint(thumbprint) if thumbprint else ""
    rows = Session.objects.using(settings.DATABASE).all()
    if user is not None:
        rows = rows.for_user(require_user(user))
    own = [principals.principal_of(user)] if user is not None else []
    if thumbprint:
        own.append(principals.certificate(thumbprint))
        return _end("end_sessions()", _sessions_of(thumbprint, rows), reason, own)
    return _end_all(rows, reason, own)


def end_selected_sessions(rows: SessionQuerySet, *, reason: str) -> int:
    """End the sessions in ``rows``; return their number.

    ``SessionQuerySet.end()`` refuses later requests only. This function also waits for the effects of requests that
    presented these sessions, as ``end_sessions()`` does.
    """
    if not isinstance(rows, SessionQuerySet):
        raise Misuse("end_selected_sessions() needs rows: Session.objects.filter(...). Use end_sessions() for a user.")
    return _end("end_selected_sessions()", (rows,), reason, ())


def _end(operation: str, selected: Sequence[SessionQuerySet], reason: str, own: Sequence[str]) -> int:
    """End the selected sessions; the audit has a row for each, or for each user where there are many."""

    def end() -> list[tuple[int, Sequence[events.Event]]]:
        _close_with_owners(*selected, own=own)
        return [end_reported(rows, reason=reason) for rows in selected]

    ended = _gated(operation, end, lambda parts: [event for _, found in parts for event in found])
    return sum(count for count, _ in ended)


def _end_all(rows: SessionQuerySet, reason: str, own: Sequence[str]) -> int:
    """End all sessions of the user whose principal is in ``own``, or of everyone; the audit has one row."""

    def end() -> int:
        gate.close(*own) if own else gate.close_all()
        return rows.end()

    named = {"subject": "".join(own) or "everyone", "reason": reason}
    return _gated("end_sessions()", end, lambda count: events.SessionsEnded(count=count, **named) if count else None)


def _close_with_owners(*rows: QuerySet[Any], own: Sequence[str]) -> None:
    """Close the gates ``own``, and those of the users of ``rows``, which may now use another certificate.

    The users are read before the gates close, so that all gates close in one order. They are read again behind the
    gates, since a login may commit between the first read and the gate of its certificate.
    """
    before = _owners(*rows)
    gate.close(*own, *before)
    gate.close(*(_owners(*rows) - before))


def _owners(*rows: QuerySet[Any]) -> set[str]:
    """Return the principals of the users of these rows."""
    users = {user for each in rows for user in each.values_list("user_id", flat=True).distinct() if user is not None}
    return {f"user:{user}" for user in users}


def _close_for_token(user: str | None, client_id: str) -> None:
    """Close the gate of the user that a token names, else of its client, else all gates.

    The tokens of simplejwt enter no gate of a client. They all have one client, so their checks would pass its row gate
    one at a time.
    """
    is_alone = client_id not in ("", tokens.simplejwt.CLIENT_ID)
    named = user or (principals.service(client_id) if is_alone else None)
    gate.close(named) if named else gate.close_all()


def _families() -> QuerySet[tokens.RefreshFamily]:
    return tokens.RefreshFamily.objects.using(settings.DATABASE)


def _gated(
    operation: str, work: Callable[[], Result], event_of: Callable[[Result], _Events] = lambda _: None
) -> Result:
    """Call ``work``, which closes a gate first, in a transaction of its own, and commit; retry once after a deadlock.

    ``event_of`` returns the event of the change or a list of events, or None if ``work`` changed nothing. The audit row
    of each event commits with the change. The events are emitted after the commit.

    Raises ``Busy`` (503) after a wait longer than ``LOCK_TIMEOUT`` for a lock of another request, so that the revoking
    caller knows that nothing is revoked yet. ``gate.close`` limits the later waits of the transaction too.
    """

    def once() -> tuple[Result, Sequence[events.Event]]:
        with database.committed_transaction(operation), database.refused_when_locked(Busy):
            result = work()
            database.require_no_failure(operation)
            found = event_of(result) or ()
            written = (found,) if isinstance(found, events.Event) else found
            for event in written:
                audit.write(event)
            leases.outlast()
            return result, written

    with meters.REVOCATION.timed(operation.removesuffix("()")):
        result, written = database.retry_after_deadlock(once)
    for event in written:
        events.emit(event)
    return result


def _sessions_of(thumbprint: str, rows: SessionQuerySet) -> tuple[SessionQuerySet, SessionQuerySet]:
    """Return the sessions opened under the certificate, and those under each certificate of a match.

    Two queries, so that each uses its index. For both conditions in one query PostgreSQL would read the whole table.
    """
    return rows.of_certificate(thumbprint), rows.of_certificates(identity.thumbprints_of(thumbprint))


def _end_families(*conditions: Q, **columns: Any) -> int:
    return _families().filter(*conditions, revoked_at=None, **columns).update(revoked_at=clock.now())
