"""A certificate or a token was stolen: lock its user out, revoke it, and return its trail."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field
from typing import Any

from securecore.conf import settings
from securecore.grants import lockouts, principals
from securecore.incidents import trail
from securecore.incidents.bare_jti import revoke_jti
from securecore.incidents.trail import Fact
from securecore.models import Certificate, RefreshFamily, Session
from securecore.revocation import end_sessions, revoke_certificate, revoke_family, revoke_token, revoke_user_tokens
from securecore.texts import counted
from securecore.thumbprints import require_thumbprint
from securecore.tokens import AccessToken


@dataclass(frozen=True)
class Ended:
    """The result: the steps that were taken, the trail of the credential, and the steps that are left to people."""

    user: str | None
    steps: list[str] = field(default_factory=list)
    trail: list[Fact] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def stolen_certificate(
    *, thumbprint: str, since: dt.datetime, lasts: dt.timedelta | None, reason: str, ends_all: bool = False
) -> Ended:
    """Lock the certificate's user out for ``lasts``, revoke the certificate, and return its trail since ``since``.

    With ``ends_all`` all sessions and tokens of the user end, also those under other certificates. Without ``lasts``
    nobody is locked out. The lockout comes first: it takes effect while the revocation may wait for locks. Each step
    commits, so a second call goes on where the first one stopped. Raises ``Misuse`` and ``Busy`` (503).
    """
    thumbprint = require_thumbprint(thumbprint)
    row = _certificate(thumbprint)
    user = row.user if row is not None else None
    ended = Ended(
        user.get_username() if user is not None else None,
        trail=trail.of_certificate(thumbprint, user=user, since=since),
        left=_left_after_certificate(row),
    )
    if user is not None and lasts is not None:
        ended.steps.append(_lock_out(principals.principal_of(user), lasts, reason, ended.user))
    if user is None and lasts is not None:
        ended.steps.append("NOBODY is locked out: this certificate is enrolled for no user.")
    sessions = Session.objects.using(settings.DATABASE).of_certificate(thumbprint).count()
    families = RefreshFamily.objects.using(settings.DATABASE).filter(certificate=thumbprint, revoked_at=None).count()
    if not revoke_certificate(thumbprint=thumbprint) and row is not None and row.revoked_at is not None:
        revoked = f"was revoked already, at {row.revoked_at.isoformat(timespec='seconds')}"
    else:
        revoked = "is revoked"
    ended.steps.append(
        f"The certificate {thumbprint} {revoked}. Under it ended: {counted(sessions, 'session')}, "
        f"{counted(families, 'authorization')}, and every access token."
    )
    if user is not None and ends_all:
        count = end_sessions(user=user, reason=reason)
        revoke_user_tokens(user)
        others = counted(count, "other session")
        ended.steps.append(f"{others} and all other tokens of {user.get_username()} ended.")
    return ended


def trail_of_certificate(*, thumbprint: str, since: dt.datetime) -> list[Fact]:
    """Return the trail that ``stolen_certificate`` would return, and change nothing."""
    row = _certificate(thumbprint)
    return trail.of_certificate(thumbprint, user=row.user if row is not None else None, since=since)


def trail_of_token(token: AccessToken | None, *, since: dt.datetime) -> list[Fact]:
    """Return the trail that ``stolen_token`` would return, and change nothing."""
    if token is None:
        return []
    return trail.of_family(token.family_id, user=principals.user(token.subject), since=since)


def stolen_token(
    *,
    jti: str,
    token: AccessToken | None,
    since: dt.datetime,
    lasts: dt.timedelta | None,
    reason: str,
) -> Ended:
    """Revoke the access token with this ``jti`` and its authorization, lock its user out, and return its trail.

    ``token`` is the token itself, if the operator has it; without it neither user nor authorization is known. A token
    is of use only with the key that it is bound to: ask how the thief got the key.
    """
    user = principals.user(token.subject) if token is not None else None
    family = token.family_id if token is not None else None
    ended = Ended(user, trail=trail_of_token(token, since=since), left=_left_after_token(token))
    if user is not None and lasts is not None:
        ended.steps.append(_lock_out(user, lasts, reason))
    if token is None:
        found = revoke_jti(jti)
        if found.doubt:
            ended.steps.append(found.doubt)
    else:
        revoke_token(
            issuer=token.issuer,
            jti=jti,
            expires_at=token.expires_at,
            subject=token.subject,
            client_id=token.client_id,
        )
    ended.steps.append(f"The access token {jti} is refused.")
    if family is not None and _revoke_family(family):
        ended.steps.append(f"The authorization {family} ended, with all its tokens.")
    return ended


def _certificate(thumbprint: str) -> Certificate | None:
    return Certificate.objects.using(settings.DATABASE).select_related("user").filter(pk=thumbprint).first()


def _lock_out(subject: str, lasts: dt.timedelta, reason: str, name: str | None = None) -> str:
    row = lockouts.lock_out(subject=subject, lasts=lasts, reason=reason)
    known_as = f"{subject} ({name})" if name else subject
    return f"{known_as} is locked out until {row.expires_at.isoformat(timespec='seconds')}."


def _revoke_family(family: uuid.UUID) -> bool:
    is_known = RefreshFamily.objects.using(settings.DATABASE).filter(pk=family).exists()
    return is_known and revoke_family(family)


def _left_after_certificate(row: Certificate | None) -> list[str]:
    left = [
        "Ask the authority to revoke the certificate too, and import its next list: securecore_certificates crl FILE.",
        "Search the proxy's access log for the serial number: it has every request. The theft is not later than the "
        "first line that the owner does not recognise: compare address and device.",
        "Look up the effects in the project's own tables since then.",
    ]
    if row is None:
        return ["No row names this certificate: compare the thumbprint. It is refused all the same.", *left]
    # As nginx writes $ssl_client_serial.
    serial = row.serial_number.upper().zfill(len(row.serial_number) + len(row.serial_number) % 2) or "unknown"
    others = Certificate.objects.using(settings.DATABASE).filter(user=row.user, revoked_at=None).exclude(pk=row.pk)
    if row.user is not None and (count := others.count()):
        stay = counted(count, "other certificate of this user stays good", "other certificates of this user stay good")
        left.append(f"{stay}: securecore_certificates list --user NAME.")
    return [f"Its serial number is {serial}, its issuer {row.issuer or 'unknown'}.", *left]


def _left_after_token(token: Any) -> list[str]:
    left = ["Find out how the thief got the key of the token: the token is of no use without it."]
    if token is None:
        return ["Only the jti was given: user and authorization are unknown. Give the token: --file FILE.", *left]
    if not token.binding:
        return ["The token is bound to no key: everyone who has it could use it. Find out how it got out."]
    if token.certificate:
        left.append(
            f"If the key of its certificate was stolen: securecore_incident stolen-certificate {token.certificate}"
        )
    return left
