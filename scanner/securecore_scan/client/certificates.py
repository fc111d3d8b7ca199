"""Issues client certificates that the service has never seen."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from securecore_scan.plan import Identity, PlanError

_LIFETIME = dt.timedelta(hours=1)


class CertificateIssuer:
    """Writes certificates to ``folder``, signed by an authority or, without one, self-signed.

    All certificates share one key, because key generation is slow and services tell clients apart by certificate.
    """

    def __init__(self, folder: Path, *, ca_cert: Path | None = None, ca_key: Path | None = None) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._issuer: x509.Name | None = None
        self._signer = self._key
        if ca_cert and ca_key:
            self._issuer, self._signer = _authority(ca_cert, ca_key)
        (folder / "issued.key").write_bytes(
            self._key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        self._numbers = itertools.count()

    def __iter__(self) -> Iterator[Identity]:
        while True:
            yield self.issue(f"scan-visitor-{next(self._numbers)}")

    def issue(self, name: str) -> Identity:
        """Issue a certificate with this common name."""
        now = dt.datetime.now(dt.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._issuer or subject)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _LIFETIME)
            .not_valid_after(now + _LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            # Strict verifiers, such as Python since 3.13, demand both identifiers (RFC 5280 section 4.2.1).
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._signer.public_key()), critical=False
            )
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        )
        path = self._folder / f"{name}.pem"
        path.write_bytes(builder.sign(self._signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return Identity(path, self._folder / "issued.key")


def _authority(ca_cert: Path, ca_key: Path) -> tuple[x509.Name, ec.EllipticCurvePrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate(ca_cert.read_bytes())
        key = serialization.load_pem_private_key(ca_key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise PlanError(f"Cannot sign with {ca_key}: {type(error).__name__}.") from None
    # The key may be RSA as well: the certificate builder signs with either type.
    return certificate.subject, key  # type: ignore[return-value]
