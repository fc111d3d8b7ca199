"""Which certificates have a key or a name: what was obtained under one of them ends with that key or name.

``remember`` is called by everything that gives out what outlives the request: tokens and sessions.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db.models import QuerySet

from securecore import database, digests
from securecore.conf import settings
from securecore.identity.certificates import END_OF_TIME, ClientCertificate
from securecore.identity.matching import identifiers, key_match
from securecore.identity.models import CertificateIdentifier

_COLUMNS = ("id", "certificate", "identifier", "expires_at")
#: A timeout that was made longer since the row was written extends the row; every other repetition writes nothing.
_REMEMBER = """
    INSERT INTO securecore_certificate_identifier (id, certificate, identifier, expires_at) VALUES {}
    ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at
    WHERE securecore_certificate_identifier.expires_at < excluded.expires_at
"""

#: The condition that the certificate, or a key or name of it, is revoked. ``{}`` is the expression of its thumbprint.
REVOKED = """
    (EXISTS (SELECT 1 FROM securecore_certificate oc WHERE oc.thumbprint = {0} AND oc.revoked_at IS NOT NULL)
     OR EXISTS (SELECT 1 FROM securecore_certificate_identifier oi
                JOIN securecore_certificate oc ON oc.thumbprint = oi.identifier
                WHERE oi.certificate = {0} AND oc.revoked_at IS NOT NULL))
"""


def remember(*, certificate: ClientCertificate, now: dt.datetime) -> None:
    """Store by what else than its thumbprint the certificate is known, before something is obtained under it.

    These are its ``identifiers``, and its key whatever ``CERTIFICATE_MATCHES`` says: that a key was stolen comes to
    light later than its use. A name counts from the moment on at which ``CERTIFICATE_MATCHES`` has its mode.
    """
    known_by = dict.fromkeys((*identifiers(certificate)[1:], key_match(certificate).identifier))
    longest = max(settings.REFRESH_ABSOLUTE_TIMEOUT, settings.SESSION_ABSOLUTE_TIMEOUT, settings.ACCESS_TOKEN_LIFETIME)
    # Nothing is given out after ``not_after``, but a host may have judged that by a clock of ``CLOCK_SKEW`` behind.
    lives = dt.timedelta(seconds=longest + settings.CLOCK_SKEW)
    expires_at = min(max(certificate.not_after, now), END_OF_TIME - lives) + lives
    parameters: list[Any] = []
    for identifier in sorted(known_by):  # everybody's order, so that two requests never wait for each other
        key = digests.record_id("certificate-identifier", certificate.thumbprint, identifier)
        parameters += _adapted(key, certificate.thumbprint, identifier, expires_at)
    rows = ", ".join(["(%s, %s, %s, %s)"] * len(known_by))
    with database.connection().cursor() as cursor:
        cursor.execute(_REMEMBER.format(rows), parameters)


def thumbprints_of(identifier: str) -> QuerySet[CertificateIdentifier, str]:
    """Return the thumbprints of the certificates that are known to have this key or name, for a subquery."""
    rows = CertificateIdentifier.objects.using(settings.DATABASE).filter(identifier=identifier)
    return rows.values_list("certificate", flat=True)


def _adapted(*values: Any) -> list[Any]:
    connection, meta = database.connection(), CertificateIdentifier._meta
    fields: list[Any] = [meta.get_field(name) for name in _COLUMNS]
    return [field.get_db_prep_save(value, connection) for field, value in zip(fields, values, strict=True)]
