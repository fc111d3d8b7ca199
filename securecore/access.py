"""What one request needs to know, read in one statement.

The caller's user, and whether the certificate or token it came with is still wanted, come from one SELECT, so nothing
can change between two of them and no cache has to be kept true.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import DataError
from django.db.models import Exists, Q, QuerySet

from securecore import identity
from securecore.conf import settings
from securecore.errors import InvalidToken
from securecore.identity import Certificate, ClientCertificate
from securecore.tokens import (
    AccessToken,
    Client,
    RefreshFamily,
    RevokedToken,
    SigningKey,
    TokenEpoch,
    epochs,
    revocation_id,
)


def user_of_certificate(certificate: ClientCertificate) -> Any | None:
    """Return the active user whose certificate this is, or None. Raises ``CertificateRevoked``, and
    ``CertificateNotVerified`` for one that neither an authority nor its enrolment vouches for.
    """
    rows = Certificate.objects.using(settings.DATABASE).select_related("user")
    user = identity.owner_of(certificate, rows.filter(pk__in=identity.identifiers(certificate)))
    return user if user is not None and user.is_active else None


def user_of_token(token: AccessToken, *, now: dt.datetime) -> Any:
    """Return the active user that a verified token names. Raises ``InvalidToken`` if there is none, or if the token,
    its family, its client, its user's tokens, the certificate it was obtained under, its signing key, or everything of
    its time was revoked.
    """
    users = get_user_model()._default_manager.using(settings.DATABASE)
    try:
        user = users.filter(Q(pk=token.subject, is_active=True), *_still_wanted(token, now)).first()
    except (ValueError, ValidationError, DataError) as error:
        raise InvalidToken from error
    if user is None:
        raise InvalidToken
    return user


def _still_wanted(token: AccessToken, now: dt.datetime) -> list[Any]:
    """The conditions, in the WHERE clause of the one statement."""
    revoked: QuerySet[Any] = RevokedToken.objects.filter(
        pk=revocation_id(issuer=token.issuer, jti=token.jti), expires_at__gt=now
    )
    disabled = Client.objects.filter(pk=token.client_id, disabled_at__isnull=False)
    conditions: list[Any] = [~Exists(revoked), ~Exists(_outdated(token)), ~Exists(disabled)]
    if token.family_id is not None:
        # It must be there: a purged family has no tokens that live.
        conditions.append(Exists(RefreshFamily.objects.filter(pk=token.family_id, revoked_at=None)))
    if token.certificate:
        # That on the wire was refused before, but it need not be this one: a DPoP key is shown under any, and who asks
        # on another service's behalf has seen none.
        conditions.append(~Exists(Certificate.objects.filter(pk=token.certificate, revoked_at__isnull=False)))
    if token.stored_key is not None:
        conditions.append(Exists(SigningKey.objects.verifying(now).filter(pk=token.stored_key)))
    return conditions


def _outdated(token: AccessToken) -> QuerySet[TokenEpoch]:
    # An epoch that was never advanced has no row, and a token of that time says 0.
    user = Q(subject=epochs.user_subject(token.subject), epoch__gt=token.user_epoch)
    client = Q(subject=epochs.client_subject(token.client_id), epoch__gt=token.client_epoch)
    everyone = Q(subject=epochs.EVERYONE, not_before__gte=token.issued_at)
    return TokenEpoch.objects.filter(user | client | everyone)
