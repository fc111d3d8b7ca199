"""Refresh tokens: opaque, stored as digests, in families that die together (RFC 9700 section 4.14.2).

A token is redeemed by one conditional UPDATE whose row count decides, so it has one winner in the cluster. A client
that lost the answer may try again; a thief who does ends the family.

Note [Honest retry]
    A client that lost the answer presents the same token again. It gets a successor again if the token is the immediate
    predecessor of an unused head, the binding is the same, and its *first* use was at most ``REFRESH_RETRY_WINDOW``
    seconds ago: the window does not slide. The unused head is *voided* and makes room for the new successor, so a token
    never has two. A voided token is kept for as long as its family.

    Every other second use of a token revokes the family, another client's use too, and so does a use of a voided token
    (RFC 9700 section 4.14.2). Example: a thief who has the binding redeems the owner's token within the window, and the
    owner's newest token is voided by that. Its next use ends the family, and the thief's tokens with it.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from securecore import database, digests, leases
from securecore.conf import settings
from securecore.errors import Busy
from securecore.tokens.models import RefreshFamily, RefreshFamilyQuerySet, RefreshToken


@dataclass(frozen=True)
class Redeemed:
    """``token`` is the refresh token to hand out: a new one, or none where the policy keeps the old one."""

    family: RefreshFamily
    token: str | None


@dataclass(frozen=True)
class NotRedeemed:
    """Why not. ``reused`` says that the family was revoked for it, which must be committed although the answer is an
    error.
    """

    reason: str
    family: RefreshFamily | None = None
    reused: bool = False


def start(
    *, user_id: Any, client_id: str, binding: str, certificate: str, scope: str, rotates: bool, now: dt.datetime
) -> tuple[RefreshFamily, str]:
    """Begin a family; return it and its first token. ``certificate`` is the thumbprint of the one on the wire, whatever
    the binding is. Opens or joins a transaction.
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
    """Use a refresh token. ``binding`` is what the request proved, ``certificate`` the thumbprint of the one on the
    wire. ``user_id`` is for a client that may redeem one user's tokens only. Opens or joins the outermost transaction.

    Never raises for a token that is not good: the transaction must commit, since it may hold a revocation.
    Raises ``Busy`` (503) after too long a wait for the family's other requests.
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
    """End a family and all tokens that descend from it; say whether it was news. In effect once the transaction
    commits.
    """
    families = RefreshFamily.objects.using(settings.DATABASE)
    revoked = families.filter(pk=family_id, revoked_at=None).update(revoked_at=now)
    leases.outlast()
    return bool(revoked)


def family_of(presented_token: str) -> RefreshFamily | None:
    """Return the family of a refresh token, whatever has become of both."""
    row = _tokens().select_related("family").filter(pk=token_id(presented_token)).first()
    return row.family if row else None


def is_live(presented_token: str, now: dt.datetime) -> bool:
    """Say whether a refresh token could be redeemed now, binding aside."""
    unused = _tokens().filter(pk=token_id(presented_token), used_at=None, expires_at__gt=now)
    return _families().alive(now).filter(pk__in=unused.values("family")).exists()


def token_id(presented_token: str) -> uuid.UUID:
    return digests.record_id("refresh", presented_token)


def _families() -> RefreshFamilyQuerySet:
    return RefreshFamily.objects.using(settings.DATABASE)


def _tokens() -> QuerySet[RefreshToken]:
    return RefreshToken.objects.using(settings.DATABASE)


def _locked_family(presented: uuid.UUID) -> RefreshFamily | None:
    # Whether it lives is asked in a second statement, after the wait: this one's snapshot is from before.
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
    # Kept as long as its family, or a second use would be that of an unknown token and end nobody's authorization.
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
    """Decide about a token that could not be used: expired, replaced before, or shown by somebody else."""
    row = _tokens().filter(pk=presented).first()
    if row is None or row.used_at is None:
        # Unused and still safe: whoever lacks the binding learns nothing and cannot log its owner out.
        return NotRedeemed(mismatch or "expired", family)
    first_use_is_recent = now - row.used_at <= dt.timedelta(seconds=settings.REFRESH_RETRY_WINDOW)
    if not mismatch and first_use_is_recent:
        # A voided token counts as used, so its own use is a reuse, and has no parent: that one has a successor again.
        unused_head = _tokens().filter(parent=presented, used_at=None)
        if unused_head.update(parent=None, used_at=now, expires_at=family.expires_at):
            return Redeemed(family, _succeed(presented, family, now))
    revoke_family(family.pk, now=now)
    return NotRedeemed("reused", family, reused=True)


def _idle_until(family: RefreshFamily, now: dt.datetime) -> dt.datetime:
    return min(now + dt.timedelta(seconds=settings.REFRESH_IDLE_TIMEOUT), family.expires_at)
