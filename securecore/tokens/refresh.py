"""Refresh tokens: opaque secrets, stored as digests, in families that end as a whole (RFC 9700 section 4.14.2).

One conditional UPDATE redeems a token and its row count decides, so one request in the cluster wins. A client that lost
the response may retry. A thief's second use ends the family.

Note [Refresh retry]
    A client that lost the response presents the same token again. The client gets a new successor under three
    conditions: the token's successor is unused, the binding is the same, and the *first* use of the token was at most
    30 seconds ago. Retries do not extend the window. The retry *voids* the unused successor, so a
    token never has two successors. A voided token's row stays as long as its family.

    Every other second use of a token revokes the family, also a use by another client. So does the use of a voided
    token (RFC 9700 section 4.14.2). Example: a thief has the binding and redeems the owner's token within the window.
    That voids the owner's newest token. When the owner uses the newest token, the family ends, and the thief's tokens
    with it.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from securecore import audit, database, digests, events, leases
from securecore.conf import settings
from securecore.errors import Busy
from securecore.tokens.models import RefreshFamily, RefreshFamilyQuerySet, RefreshToken


@dataclass(frozen=True)
class Redeemed:
    """The refresh succeeded. ``token`` is the new refresh token; None if the client keeps its present one."""

    family: RefreshFamily
    token: str | None


#: Seconds, from the first use of a refresh token: a client that lost the response repeats within its own timeout, for
#: which 30 s is the usual default. A thief has the same time, so it is no longer than that.
_RETRY_WINDOW = 30


@dataclass(frozen=True)
class NotRedeemed:
    """The refresh failed, for ``reason``. With ``reused`` the family was revoked for reuse: commit the transaction
    although the response is an error.
    """

    reason: str
    family: RefreshFamily | None = None
    reused: bool = False


def start(
    *, user_id: Any, client_id: str, binding: str, certificate: str, scope: str, rotates: bool, now: dt.datetime
) -> tuple[RefreshFamily, str]:
    """Begin a family; return the family and its first token. Opens or joins a transaction.

    ``certificate`` is the thumbprint of the connection's client certificate, also for a binding to a DPoP key.
    """
    with database.outermost_transaction("start()"):
        family = RefreshFamily.objects.using(settings.DATABASE).create(
            id=uuid.uuid4(),
            user_id=user_id,
            client_id=client_id,
            binding=binding,
            certificate_id=certificate,
            scope=scope,
            rotates=rotates,
            created_at=now,
            expires_at=now + dt.timedelta(seconds=settings.REFRESH_ABSOLUTE_TIMEOUT),
        )
        secret = digests.new_secret()
        _tokens().create(id=token_id(secret), family=family, expires_at=_idle_until(family, now))
    return family, secret


def redeem(
    *, presented_token: str, client_id: str, binding: str, certificate: str, now: dt.datetime, user_id: Any = None
) -> Redeemed | NotRedeemed:
    """Use a refresh token. Opens or joins the outermost transaction.

    ``binding`` is the binding that the request proved; ``certificate`` is the thumbprint of the connection's client
    certificate. ``user_id`` restricts a client to the tokens of one user. Returns ``NotRedeemed`` for a bad token and
    does not raise: the transaction may hold a revocation and must commit. Raises ``Busy`` (503) if other requests hold
    the family's row longer than ``LOCK_TIMEOUT``.
    """
    with database.outermost_transaction("redeem()"):
        presented = token_id(presented_token)
        family = _locked_family(presented)
        if family is None:
            return NotRedeemed("unknown")
        if not _families().filter(pk=family.pk).alive(now).exists():
            return NotRedeemed("revoked" if family.expires_at > now else "expired", family)
        mismatch = _mismatch(family, client_id, user_id, binding)
        outcome = (_redeem_rotating if family.rotates else _redeem_static)(presented, family, mismatch, now)
        if isinstance(outcome, Redeemed) and family.certificate_id != certificate:
            RefreshFamily.objects.using(settings.DATABASE).filter(pk=family.pk).update(certificate=certificate)
        return outcome


def revoke_family(family_id: uuid.UUID, *, now: dt.datetime) -> bool:
    """End a family and its tokens, from the commit of the transaction on; return False if it was revoked already."""
    families = RefreshFamily.objects.using(settings.DATABASE)
    revoked = families.filter(pk=family_id, revoked_at=None).update(revoked_at=now)
    leases.outlast()
    return bool(revoked)


def family_of(presented_token: str) -> RefreshFamily | None:
    """Return the family of a refresh token, also if the token or the family is used, expired or revoked."""
    row = _tokens().select_related("family").filter(pk=token_id(presented_token)).first()
    return row.family if row else None


def is_live(presented_token: str, now: dt.datetime) -> bool:
    """Say whether a refresh token could be redeemed now by a request with the right binding."""
    unused = _tokens().filter(pk=token_id(presented_token), used_at=None, expires_at__gt=now)
    return _families().alive(now).filter(pk__in=unused.values("family")).exists()


def token_id(presented_token: str) -> uuid.UUID:
    return digests.record_id("refresh", presented_token)


def _families() -> RefreshFamilyQuerySet:
    return RefreshFamily.objects.using(settings.DATABASE)


def _tokens() -> QuerySet[RefreshToken]:
    return RefreshToken.objects.using(settings.DATABASE)


def _locked_family(presented: uuid.UUID) -> RefreshFamily | None:
    # ``redeem`` reads in a second statement whether the family is alive: the snapshot of this statement is older than
    # its wait for the lock.
    with database.bounded_wait(Busy):
        no_key = database.connection().features.has_select_for_no_key_update
        return _families().select_for_update(no_key=no_key, of=("self",)).filter(tokens__pk=presented).first()


def _mismatch(family: RefreshFamily, client_id: str, user_id: Any, binding: str) -> str:
    if family.client_id != client_id:
        return "another client's"
    if user_id is not None and family.user_id != user_id:
        return "another user's"
    return "" if family.binding == binding else "another binding"


def _use(presented: uuid.UUID, family: RefreshFamily, now: dt.datetime) -> bool:
    unused = _tokens().filter(pk=presented, used_at=None, expires_at__gt=now)
    # The row stays as long as the family. If purge deleted it earlier, a reuse would look like an unknown token and
    # would not end the family.
    return unused.update(used_at=now, expires_at=family.expires_at) == 1


def _succeed(parent: uuid.UUID, family: RefreshFamily, now: dt.datetime) -> str:
    secret = digests.new_secret()
    _tokens().create(id=token_id(secret), family=family, parent=parent, expires_at=_idle_until(family, now))
    return secret


def _redeem_static(
    presented: uuid.UUID, family: RefreshFamily, mismatch: str, now: dt.datetime
) -> Redeemed | NotRedeemed:
    if mismatch:
        return NotRedeemed(mismatch, family)
    kept = _tokens().filter(pk=presented, expires_at__gt=now).update(expires_at=_idle_until(family, now))
    return Redeemed(family, None) if kept else NotRedeemed("expired", family)


def _redeem_rotating(
    presented: uuid.UUID, family: RefreshFamily, mismatch: str, now: dt.datetime
) -> Redeemed | NotRedeemed:
    if not mismatch and _use(presented, family, now):
        return Redeemed(family, _succeed(presented, family, now))
    return _redeem_again(presented, family, mismatch, now)


def _redeem_again(
    presented: uuid.UUID, family: RefreshFamily, mismatch: str, now: dt.datetime
) -> Redeemed | NotRedeemed:
    """Decide about a token that could not be used: expired, used before, or presented with another binding."""
    row = _tokens().filter(pk=presented).first()
    if row is None or row.used_at is None:
        # The token is unused and stays good: a caller without the binding learns nothing and cannot log the owner out.
        return NotRedeemed(mismatch or "expired", family)
    first_use_is_recent = now - row.used_at <= dt.timedelta(seconds=_RETRY_WINDOW)
    if not mismatch and first_use_is_recent:
        # A voided token counts as used, so presenting it is a reuse. Its parent is null, so that the parent can have
        # another successor.
        unused_head = _tokens().filter(parent=presented, used_at=None)
        if unused_head.update(parent=None, used_at=now, expires_at=family.expires_at):
            return Redeemed(family, _succeed(presented, family, now))
    revoke_family(family.pk, now=now)
    user = str(family.user_id)
    audit.write(events.RefreshTokenReused(family=str(family.pk), user=user, client_id=family.client_id))
    return NotRedeemed("reused", family, reused=True)


def _idle_until(family: RefreshFamily, now: dt.datetime) -> dt.datetime:
    return min(now + dt.timedelta(seconds=settings.REFRESH_IDLE_TIMEOUT), family.expires_at)
