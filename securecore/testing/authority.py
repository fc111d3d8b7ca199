"""A certificate authority for tests: its certificates, and the headers that nginx builds from them."""

from __future__ import annotations

import base64
import datetime as dt
import functools
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from securecore import clock
from securecore.errors import Misuse
from securecore.texts import quoted

DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Issued:
    """A certificate with its private key, and nginx's headers for it."""

    certificate: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def base64(self) -> str:
        return base64.b64encode(self.der).decode()

    @property
    def escaped(self) -> str:
        """The value of `$ssl_client_escaped_cert`."""
        return quote(self.pem, safe="")

    @property
    def environ(self) -> dict[str, str]:
        """Return META of a request that came from nginx over a unix socket."""
        return {
            "REMOTE_ADDR": "",
            "HTTP_X_SSL_CLIENT_VERIFY": "SUCCESS",
            "HTTP_X_SSL_CLIENT_CERT": self.escaped,
        }


def require_issued(issued: Any) -> Issued:
    """Return ``issued`` if an ``Authority`` issued it. Raises ``Misuse`` for a name and for another certificate."""
    if not isinstance(issued, Issued):
        raise Misuse(
            f"{quoted(issued)} is no certificate with its key: pass authority.certificate_for('alice'), with authority "
            f"= securecore.testing.Authority()."
        )
    return issued


class Authority:
    """A certificate authority.

    ``certificate_for("alice")`` returns the same certificate at each call, ``issue("alice")`` a new one. ``now`` is the
    instant around which the certificates are valid, for tests with a fake clock.
    """

    def __init__(self, common_name: str = "Test CA", now: dt.datetime | None = None) -> None:
        self.now = now or clock.now().replace(microsecond=0)
        self.key: CertificateIssuerPrivateKeyTypes = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        self.certificate_for = functools.cache(self.issue)

    def issue(
        self,
        common_name: str,
        *,
        not_before: dt.datetime | None = None,
        not_after: dt.datetime | None = None,
        dns_names: Sequence[str] = (),
        uris: Sequence[str] = (),
        emails: Sequence[str] = (),
        addresses: Sequence[str] = (),
        key: CertificateIssuerPrivateKeyTypes | None = None,
        extensions: Sequence[x509.ExtensionType] = (),
    ) -> Issued:
        """Return a new certificate, by default valid from a day ago until a day ahead."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        names = [
            *map(x509.DNSName, dns_names),
            *map(x509.UniformResourceIdentifier, uris),
            *map(x509.RFC822Name, emails),
            *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
        ]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(self.name)
            .public_key(_public(key))
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before or self.now - DAY)
            .not_valid_after(not_after or self.now + DAY)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        for extension in extensions:
            critical = isinstance(extension, x509.BasicConstraints | x509.KeyUsage | x509.NameConstraints)
            builder = builder.add_extension(extension, critical=critical)
        return Issued(builder.sign(self.key, hashes.SHA256()), key)


def _public(key: CertificateIssuerPrivateKeyTypes) -> Any:
    return key.public_key()
