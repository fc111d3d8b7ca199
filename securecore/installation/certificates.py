"""Certificates for development: an authority, its CRL, a server and clients, as files in one folder.

    ca.pem, ca.key, crl.pem            the authority, and its revocation list
    server.pem, server.key             for localhost, 127.0.0.1 and ::1
    NAME.pem, NAME.key, NAME.p12       for a client

Keys are P-256, without a password, and readable by their owner only. Browsers import the .p12 files with ``PASSWORD``.
Never for production: the key of a real authority does not lie beside the server that trusts it.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: Opens the .p12 files, since some browsers refuse an empty password. It protects nothing: the key lies beside the
#: file.
PASSWORD = "demo"  # noqa: S105

AUTHORITY_LIFETIME = dt.timedelta(days=3650)
#: Browsers accept a server certificate for at most 398 days.
LIFETIME = dt.timedelta(days=365)
#: nginx refuses every client once the CRL is past its next update.
CRL_LIFETIME = dt.timedelta(days=90)
#: Clocks differ, so a certificate is valid from a little before its creation.
BACKDATE = dt.timedelta(minutes=5)


@dataclass(frozen=True)
class Credential:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def new_authority(name: str, *, now: dt.datetime) -> Credential:
    """Return a new root authority. Its key exists in memory only."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_named(name), _named(name), key, key, now=now, lifetime=AUTHORITY_LIFETIME)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    return Credential(builder.sign(key, hashes.SHA256()), key)


def load_authority(folder: Path) -> Credential:
    """Return the authority in ``folder``."""
    return read_pair(folder, "ca")


def issue(
    folder: Path,
    name: str,
    *,
    now: dt.datetime,
    lifetime: dt.timedelta = LIFETIME,
    authority: Credential | None = None,
) -> x509.Certificate:
    """Write NAME.pem, NAME.key and NAME.p12 for a client, and return the certificate.

    The files replace earlier ones. The certificate is valid from ``BACKDATE`` before ``now`` until ``now + lifetime``.
    Without ``authority`` the authority of the folder issues it.
    """
    by = authority or load_authority(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_named(name), by.certificate.subject, key, by.key, now=now, lifetime=lifetime)
    builder = _leaf(builder, ExtendedKeyUsageOID.CLIENT_AUTH, [x509.RFC822Name(f"{name}@demo.example")])
    certificate = builder.sign(by.key, hashes.SHA256())
    bundle = pkcs12.serialize_key_and_certificates(
        name.encode(), key, certificate, [by.certificate], serialization.BestAvailableEncryption(PASSWORD.encode())
    )
    write(folder / f"{name}.p12", bundle, mode=0o600)
    write_pair(folder, name, Credential(certificate, key))
    return certificate


def revoke(folder: Path, name: str, *, now: dt.datetime) -> None:
    """Put NAME's certificate into ``crl.pem``. nginx reads the file at its next reload."""
    authority = load_authority(folder)
    certificate = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
    revoked = {entry.serial_number: entry for entry in read_crl(folder, authority) or ()}
    revoked[certificate.serial_number] = (
        x509.RevokedCertificateBuilder()
        .serial_number(certificate.serial_number)
        .revocation_date(now)
        .add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
        .build()
    )
    write_crl(folder, authority, list(revoked.values()), now=now)


def read_crl(folder: Path, authority: Credential) -> x509.CertificateRevocationList | None:
    """Return the revocation list in ``folder``, or None without one that the authority signed."""
    try:
        crl = x509.load_pem_x509_crl((folder / "crl.pem").read_bytes())
    except (OSError, ValueError):
        return None
    return crl if crl.is_signature_valid(authority.key.public_key()) else None


def write_crl(folder: Path, authority: Credential, revoked: list[x509.RevokedCertificate], *, now: dt.datetime) -> None:
    """Write ``crl.pem`` with these entries, valid for ``CRL_LIFETIME``."""
    builder = (
        x509.CertificateRevocationListBuilder(revoked_certificates=revoked)
        .issuer_name(authority.certificate.subject)
        .last_update(now - BACKDATE)
        .next_update(now + CRL_LIFETIME)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        # The CRL number must grow (RFC 5280 section 5.2.3). Milliseconds grow without a stored counter.
        .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
    )
    crl = builder.sign(authority.key, hashes.SHA256())
    write(folder / "crl.pem", crl.public_bytes(serialization.Encoding.PEM), mode=0o644)


def issue_server(folder: Path, authority: Credential, *, host: str = "localhost", now: dt.datetime) -> None:
    """Write ``server.pem`` and ``server.key`` for ``host`` and for the names of this machine's loopback."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(
        _named("localhost"), authority.certificate.subject, key, authority.key, now=now, lifetime=LIFETIME
    )
    addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    names = [x509.DNSName(name) for name in dict.fromkeys(["localhost", host]) if not _is_address(name)]
    addresses += [x509.IPAddress(ipaddress.ip_address(host))] if _is_address(host) else []
    builder = _leaf(builder, ExtendedKeyUsageOID.SERVER_AUTH, [*names, *dict.fromkeys(addresses)])
    write_pair(folder, "server", Credential(builder.sign(authority.key, hashes.SHA256()), key))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    now: dt.datetime,
    lifetime: dt.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _leaf(
    builder: x509.CertificateBuilder, purpose: x509.ObjectIdentifier, names: list[x509.GeneralName]
) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def read_pair(folder: Path, name: str) -> Credential:
    """Return the certificate and key of NAME. Raises ``OSError``, ``ValueError`` or ``TypeError`` for other files."""
    key = serialization.load_pem_private_key((folder / f"{name}.key").read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{name}.key is no EC key")
    return Credential(x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes()), key)


def write_pair(folder: Path, name: str, pair: Credential) -> None:
    """Write NAME.pem and NAME.key."""
    pem = pair.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write(folder / f"{name}.key", pem, mode=0o600)
    write(folder / f"{name}.pem", pair.certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def write(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that appears whole or not at all. Until it has ``mode``, only its owner can read it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    os.chmod(temporary, mode)
    os.replace(temporary, path)
