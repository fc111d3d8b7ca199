"""The contents of a revocation list: its extensions, which say which kind of list it is, and its entries."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.x509.oid import CRLEntryExtensionOID, ExtensionOID

from securecore.errors import Misuse

#: Extensions of a list that need no reading here, although they may be critical.
_KNOWN = {
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.CRL_NUMBER,
    ExtensionOID.FRESHEST_CRL,
    ExtensionOID.ISSUER_ALTERNATIVE_NAME,
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
    ExtensionOID.ISSUING_DISTRIBUTION_POINT,
}
#: The reason codes of RFC 5280 section 5.3.1.
_REASONS = {
    x509.ReasonFlags.unspecified: 0,
    x509.ReasonFlags.key_compromise: 1,
    x509.ReasonFlags.ca_compromise: 2,
    x509.ReasonFlags.affiliation_changed: 3,
    x509.ReasonFlags.superseded: 4,
    x509.ReasonFlags.cessation_of_operation: 5,
    x509.ReasonFlags.certificate_hold: 6,
    x509.ReasonFlags.remove_from_crl: 8,
    x509.ReasonFlags.privilege_withdrawn: 9,
    x509.ReasonFlags.aa_compromise: 10,
}
#: The reason of an entry that the authority may take back.
HOLD = _REASONS[x509.ReasonFlags.certificate_hold]


class Entry(NamedTuple):
    """One certificate of a list. ``serial_number`` is hexadecimal, as in ``ClientCertificate``."""

    serial_number: str
    revoked_at: dt.datetime
    reason: int


def refuse_other_kinds(header: x509.CertificateRevocationList) -> None:
    """Raise ``Misuse`` for a list that is not the complete list of client certificates of its own issuer."""
    try:
        extensions = {each.oid: each for each in header.extensions}
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise Misuse(f"The extensions of the revocation list cannot be read: {error}") from error
    if ExtensionOID.DELTA_CRL_INDICATOR in extensions:
        raise Misuse("This is a delta list, which holds changes only. Import the complete list of the authority.")
    for oid, extension in extensions.items():
        if extension.critical and oid not in _KNOWN:
            raise Misuse(
                f"The revocation list has a critical extension that securecore does not know: {oid.dotted_string}."
            )
    scope = extension_of(header, ExtensionOID.ISSUING_DISTRIBUTION_POINT)
    if scope is None:
        return
    if scope.indirect_crl:
        raise Misuse("This is an indirect list, with certificates of other issuers. Import the list of each issuer.")
    if scope.only_contains_ca_certs or scope.only_contains_attribute_certs:
        raise Misuse("This list is about authorities or attribute certificates only, and names no client certificate.")
    if scope.only_some_reasons:
        raise Misuse("This list holds revocations for some reasons only. Import the complete list of the authority.")


def entry_of(revoked: x509.RevokedCertificate) -> Entry:
    reason = 0
    for extension in revoked.extensions:
        if extension.oid == CRLEntryExtensionOID.CRL_REASON:
            reason = _REASONS[extension.value.reason]
        elif extension.oid == CRLEntryExtensionOID.CERTIFICATE_ISSUER:
            raise Misuse("An entry names another issuer: this is an indirect list. Import the list of each issuer.")
        elif extension.critical:
            raise Misuse(
                f"An entry has a critical extension that securecore does not know: {extension.oid.dotted_string}."
            )
    return Entry(f"{revoked.serial_number:x}", revoked.revocation_date_utc, reason)


def extension_of(extended: Any, oid: x509.ObjectIdentifier) -> Any:
    """Return the value of an extension of a list or certificate, or None."""
    try:
        return extended.extensions.get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        return None
