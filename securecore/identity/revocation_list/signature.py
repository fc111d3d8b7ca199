"""Verify a revocation list against the certificate of its issuer (RFC 5280 section 6.3.3)."""

from __future__ import annotations

import datetime as dt
import mmap
from collections.abc import Callable, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.x509.oid import ExtensionOID

from securecore.errors import Misuse
from securecore.identity.revocation_list.contents import extension_of
from securecore.identity.revocation_list.file import RevocationListFile
from securecore.texts import quoted

#: Digests under which two lists with one signature can be made.
_BROKEN = (hashes.MD5, hashes.SHA1)


def signing_authority(
    file: RevocationListFile, authorities: Sequence[x509.Certificate], now: dt.datetime
) -> x509.Certificate:
    """Return the authority of ``authorities`` that issued and signed the list.

    Raises ``Misuse`` if none did, if its certificate is not valid at ``now`` or may sign no lists, if the signature is
    not good, and if the list has ended or has no end (``nextUpdate``).
    """
    header = file.header
    _check_dates(header, now)
    issuer = header.issuer.public_bytes()
    named = [each for each in authorities if each.subject.public_bytes() == issuer and _is_key_named(each, header)]
    if not named:
        raise Misuse(
            f"The list is by {quoted(_text(header.issuer))}, and none of the {len(authorities)} certificates is that "
            "authority's. Name a PEM file with the certificate of the authority: --authority FILE."
        )
    for authority in named:
        if _is_signed(file, authority):
            _check_authority(authority, now)
            return authority
    raise Misuse("The signature of the revocation list is not good: the list was changed, or another key signed it.")


def _check_dates(header: x509.CertificateRevocationList, now: dt.datetime) -> None:
    if header.next_update_utc is None:
        raise Misuse("The list has no nextUpdate, which RFC 5280 section 5.1.2.5 demands: it would never end.")
    if header.next_update_utc <= now:
        raise Misuse(f"The list ended at {header.next_update_utc:%Y-%m-%d %H:%M} UTC. Fetch the authority's next list.")
    if header.last_update_utc > now:
        raise Misuse(f"The list begins at {header.last_update_utc:%Y-%m-%d %H:%M} UTC: compare the clock of this host.")


def _is_key_named(authority: x509.Certificate, header: x509.CertificateRevocationList) -> bool:
    """Say whether the list names the authority's key, or one of the two names no key."""
    named = extension_of(header, ExtensionOID.AUTHORITY_KEY_IDENTIFIER)
    own = extension_of(authority, ExtensionOID.SUBJECT_KEY_IDENTIFIER)
    return not named or not own or named.key_identifier is None or named.key_identifier == own.digest


def _check_authority(authority: x509.Certificate, now: dt.datetime) -> None:
    if not authority.not_valid_before_utc <= now <= authority.not_valid_after_utc:
        raise Misuse(f"The certificate of the authority {quoted(_text(authority.subject))} is not valid at this time.")
    basic = extension_of(authority, ExtensionOID.BASIC_CONSTRAINTS)
    usage = extension_of(authority, ExtensionOID.KEY_USAGE)
    if (basic is not None and not basic.ca) or (usage is not None and not usage.crl_sign):
        raise Misuse(
            f"The certificate {quoted(_text(authority.subject))} may not sign revocation lists (RFC 5280, cRLSign)."
        )


def _is_signed(file: RevocationListFile, authority: x509.Certificate) -> bool:
    header, key = file.header, authority.public_key()
    try:
        if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            _verify_whole(file, key.verify)
            return True
        algorithm, parameters = header.signature_hash_algorithm, header.signature_algorithm_parameters
        if algorithm is None or isinstance(algorithm, _BROKEN):
            raise Misuse("The list is signed with MD5 or SHA-1, which proves nothing. Ask the authority for SHA-256.")
        digest = hashes.Hash(algorithm)
        for piece in file.pieces():
            digest.update(piece)
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(header.signature, digest.finalize(), ec.ECDSA(Prehashed(algorithm)))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(header.signature, digest.finalize(), parameters, Prehashed(algorithm))  # type: ignore[arg-type]
        else:
            raise Misuse("The authority has a key of a kind that securecore does not know.")
    except (InvalidSignature, UnsupportedAlgorithm, TypeError):  # TypeError: the parameters of another kind of key
        return False
    return True


def _verify_whole(file: RevocationListFile, verify: Callable[[bytes, memoryview], None]) -> None:
    """Verify a signature that covers the list itself, and no digest. The kernel maps the file page by page."""
    with (
        mmap.mmap(file.descriptor, 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as view,
        view[file.signed.begin : file.signed.end] as signed,
    ):
        verify(file.header.signature, signed)


def _text(name: x509.Name) -> str:
    try:
        return name.rfc4514_string()
    except ValueError:  # Latin-1
        return name.public_bytes().hex()
