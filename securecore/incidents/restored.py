"""Make a database safe that was restored from a backup.

Note [Restore]
    A restore brings everything back that was revoked, ended or used since the backup, and forgets each nonce since.
    Epochs run backwards: a later revocation would raise an epoch to a number that tokens from before the failure name
    already, and would not refuse them. So after a restore every session, token, authorization and one-time token ends,
    every epoch leaps far ahead, and everyone is locked out until no request from before the failure can be repeated.
    Revocations of certificates, grants, clients, keys and users since the backup are not in the database. An export of
    the audit has them, and ``reapply`` makes them again.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db.models import F

from securecore import audit, clock, database, events, grants, leases, tokens
from securecore.conf import settings
from securecore.errors import Busy, Misuse, Refused
from securecore.grants import gate, lockouts
from securecore.grants.query.lockouts import EVERYONE
from securecore.models import AuditRow, Gate, OneTimeToken, RefreshFamily, Session, SigningKey, TokenEpoch
from securecore.revocation import (
    deactivate_user,
    disable_client,
    retire_key,
    revoke_all_grants,
    revoke_certificate,
    revoke_grant,
    revoke_signature_key,
)

#: More changes than any principal has between a backup and its restore. A ``bigint`` has room for 9 * 10^9 restores.
LEAP = 10**9


@dataclass(frozen=True)
class Restored:
    """The numbers of ended rows, and the signing keys that verify: one may have been retired since the backup."""

    sessions: int
    families: int
    one_time_tokens: int
    locked_until: dt.datetime | None
    signing_keys: list[str]


@dataclass(frozen=True)
class Reapplied:
    """One revocation of the audit export: its event and subject, and the reason why it could not be made again."""

    event: str
    subject: str
    error: str = ""


def after_restore(*, stopped_at: dt.datetime, reason: str) -> Restored:
    """End everything that the backup may have brought back, in one transaction (Note [Restore]).

    ``stopped_at`` is the instant at which the failed service accepted its last request; the present, if nobody knows.
    Call it before the service starts. Raises ``Misuse`` inside a transaction, and ``Busy`` (503).
    """
    locked_until = _outlast_recorded_requests(stopped_at, reason)

    def end() -> Restored:
        with database.committed_transaction("after_restore()"), database.refused_when_locked(Busy):
            gate.close_all()
            now = clock.now()
            restored = _end_everything(now, locked_until)
            audit.report(
                events.BackupRestored(
                    subject=EVERYONE, sessions_ended=restored.sessions, families_ended=restored.families
                )
            )
            leases.outlast()
            return restored

    return database.retry_after_deadlock(end)


def _outlast_recorded_requests(stopped_at: dt.datetime, reason: str) -> dt.datetime | None:
    """Lock everyone out until the timestamp of each request from before the failure is too old.

    The nonces since the backup are lost, so a recording of such a request would be accepted once more. Its timestamp
    may lie a window ahead of the service, and is good for a window.
    """
    ends = stopped_at + dt.timedelta(seconds=2 * settings.REPLAY_WINDOW + 2 * clock.SKEW + 1)
    left = ends - clock.now()
    if left <= dt.timedelta():
        return None
    return lockouts.lock_out(subject=EVERYONE, lasts=min(left, lockouts.LONGEST), reason=reason).expires_at


def _end_everything(now: dt.datetime, locked_until: dt.datetime | None) -> Restored:
    alias = settings.DATABASE
    tokens.epochs.refuse_until(now)
    TokenEpoch.objects.using(alias).update(epoch=F("epoch") + LEAP)
    Gate.objects.using(alias).update(epoch=F("epoch") + LEAP)
    families = RefreshFamily.objects.using(alias).filter(revoked_at=None).update(revoked_at=now)
    sessions = Session.objects.using(alias).end()
    one_time, _ = OneTimeToken.objects.using(alias).all().delete()
    keys = SigningKey.objects.using(alias).verifying(now).values_list("kid", flat=True)
    return Restored(sessions, families, one_time, locked_until, sorted(keys))


def newest_audit_row() -> dt.datetime | None:
    """Return the instant of the newest audit row: of a restored database, the instant until which it knows changes."""
    rows = AuditRow.objects.using(settings.DATABASE)
    return rows.order_by("-at").values_list("at", flat=True).first()


def reapply(lines: Iterable[str], *, since: dt.datetime | None) -> Iterable[Reapplied]:
    """Make each revocation of an audit export after ``since`` again.

    ``lines`` are those of ``securecore_audit export``. Yields each one, with an error for one that cannot be made, for
    example of a user that was created after the backup. To make a revocation twice does no harm.
    """
    for row in map(json.loads, lines):
        again = _AGAIN.get(row["event"])
        if again is None or (since is not None and dt.datetime.fromisoformat(row["at"]) <= since):
            continue
        try:
            again(row["payload"])
        except (Misuse, Refused, LookupError, get_user_model().DoesNotExist) as error:
            yield Reapplied(row["event"], row["subject"], str(error) or type(error).__name__)
        else:
            yield Reapplied(row["event"], row["subject"])


def _user(key: str) -> Any:
    return get_user_model()._default_manager.using(settings.DATABASE).get(pk=key)


def _object(named: str) -> Any:
    label, _, key = named.partition(":")
    return apps.get_model(label)(pk=key) if named else None  # also of a row that the backup lacks


def _deny(payload: dict[str, Any]) -> None:
    if payload["denies"]:
        on = _object(payload["object"])
        grants.grant(
            principal=payload["principal"], permission=payload["permission"], obj=on, denies=True, now=clock.now()
        )


def _leave(payload: dict[str, Any]) -> None:
    user = _user(payload["principal"].removeprefix("user:"))
    user.groups.remove(payload["group"].removeprefix("group:"))


def _lock_out(payload: dict[str, Any]) -> None:
    left = dt.datetime.fromisoformat(payload["until"]) - clock.now()
    if left > dt.timedelta():
        lockouts.lock_out(subject=payload["subject"], lasts=left, reason=payload["reason"])


#: The function that makes the change of an event again, from its payload.
_AGAIN: dict[str, Callable[[dict[str, Any]], Any]] = {
    events.CertificateRevoked.name: lambda payload: revoke_certificate(thumbprint=payload["thumbprint"]),
    events.ClientDisabled.name: lambda payload: disable_client(payload["client_id"]),
    events.UserDeactivated.name: lambda payload: deactivate_user(_user(payload["user"])),
    events.GrantRevoked.name: lambda payload: revoke_grant(
        principal=payload["principal"], permission=payload["permission"], obj=_object(payload["object"])
    ),
    events.AllGrantsRevoked.name: lambda payload: revoke_all_grants(principal=payload["principal"]),
    events.GrantGiven.name: _deny,
    events.GroupMembershipRevoked.name: _leave,
    events.KeyRetired.name: lambda payload: retire_key(payload["kid"]),
    events.SignatureKeyRevoked.name: lambda payload: revoke_signature_key(payload["keyid"]),
    events.LockedOut.name: _lock_out,
    events.LockoutLifted.name: lambda payload: lockouts.lift(subject=payload["subject"]),
}
