"""Store the keys and names of certificates under which a token or session was obtained.

If a key or name is revoked later, these rows find the tokens and sessions to end. Every place that issues a token or
opens a session calls ``remember``.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db.models import QuerySet

from securecore import clock, database, digests
from securecore.conf import settings
from securecore.identity.certificates import END_OF_TIME, ClientCertificate
from securecore.identity.matching import identifiers, key_match
from securecore.identity.models import CertificateIdentifier

_COLUMNS = ("id", "certificate", "identifier", "expires_at")
#: The second insert of a row writes nothing, unless a timeout was raised meanwhile: then the row lives longer.
_REMEMBER = """
    INSERT INTO securecore_certificate_identifier (id, certificate, identifier, expires_at) VALUES {}
    ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at
    WHERE securecore_certificate_identifier.expires_at < excluded.expires_at
"""

#: The condition that the certificate, its key or one of its names is revoked. ``{0}`` is the expression of its
#: thumbprint.
REVOKED = """
    (EXISTS (SELECT 1 FROM securecore_certificate oc WHERE oc.thumbprint = {0} AND oc.revoked_at IS NOT NULL)
     OR EXISTS (SELECT 1 FROM securecore_certificate_identifier oi
                JOIN securecore_certificate oc ON oc.thumbprint = oi.identifier
                WHERE oi.certificate = {0} AND oc.revoked_at IS NOT NULL))
"""


def remember(*, certificate: ClientCertificate, now: dt.datetime) -> None:
    """Store the certificate's key and names, before a token or session is obtained under the certificate.

    The rows hold its ``identifiers``, its ``serial_id`` in hexadecimal, by which a revocation list names it, and its
    key even without "public-key" in ``CERTIFICATE_MATCHES``: the theft of a key becomes known only after the thief has
    used it. A name is stored only while ``CERTIFICATE_MATCHES`` has its mode.
    """
    names, of_key = identifiers(certificate)[1:], key_match(certificate).identifier
    listed_as = (certificate.serial_id.hex,) if certificate.is_verified else ()  # no authority lists a self-signed one
    known_by = dict.fromkeys((*names, of_key, *listed_as))
    longest = max(settings.REFRESH_ABSOLUTE_TIMEOUT, settings.SESSION_ABSOLUTE_TIMEOUT, settings.ACCESS_TOKEN_LIFETIME)
    # After ``not_after`` no token or session is issued, but the clock of the issuing host may be ``clock.SKEW`` behind.
    lives = dt.timedelta(seconds=longest + clock.SKEW)
    expires_at = min(max(certificate.not_after, now), END_OF_TIME - lives) + lives
    parameters: list[Any] = []
    for identifier in sorted(known_by):  # one order for all requests, so that two of them never deadlock
        key = digests.record_id("certificate-identifier", certificate.thumbprint, identifier)
        parameters += _adapted(key, certificate.thumbprint, identifier, expires_at)
    rows = ", ".join(["(%s, %s, %s, %s)"] * len(known_by))
    with database.connection().cursor() as cursor:
        cursor.execute(_REMEMBER.format(rows), parameters)


def thumbprints_of(identifier: str) -> QuerySet[CertificateIdentifier, str]:
    """Return a query for the thumbprints of the remembered certificates with this key or name."""
    rows = CertificateIdentifier.objects.using(settings.DATABASE).filter(identifier=identifier)
    return rows.values_list("certificate", flat=True)


def _adapted(*values: Any) -> list[Any]:
    connection, meta = database.connection(), CertificateIdentifier._meta
    fields: list[Any] = [meta.get_field(name) for name in _COLUMNS]
    return [field.get_db_prep_save(value, connection) for field, value in zip(fields, values, strict=True)]
