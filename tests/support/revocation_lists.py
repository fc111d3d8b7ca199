"""Revocation lists of an authority, in the forms that authorities publish."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from securecore import clock
from securecore.testing import Authority, Issued
from tests.identity.conftest import authority_extensions

HOUR = dt.timedelta(hours=1)
_SHA256 = hashes.SHA256()


class Lists:
    """The lists of one authority. Each has the next number, unless the caller gives one."""

    def __init__(self, authority: Authority) -> None:
        self._authority, self._number = authority, 0
        key = authority.key
        common_name = str(authority.name.rdns[0].rfc4514_string()).removeprefix("CN=")
        #: The authority's certificate.
        self.issued = authority.issue(common_name, key=key, extensions=authority_extensions(key))

    def builder(
        self,
        *listed: Issued,
        reason: x509.ReasonFlags | None = None,
        this_update: dt.timedelta = -HOUR,
        next_update: dt.timedelta | None = HOUR,
        extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
        entry_extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
    ) -> x509.CertificateRevocationListBuilder:
        now = clock.now()
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._authority.name)
        builder = builder.last_update(now + this_update)
        if next_update is not None:
            builder = builder.next_update(now + next_update)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        for each in listed:
            entry = x509.RevokedCertificateBuilder().serial_number(each.certificate.serial_number)
            entry = entry.revocation_date(now - HOUR)
            for extension, critical in (*([(x509.CRLReason(reason), False)] if reason else []), *entry_extensions):
                entry = entry.add_extension(extension, critical)
            builder = builder.add_revoked_certificate(entry.build())
        return builder

    def sign(self, builder: x509.CertificateRevocationListBuilder, key: Any = None, digest: Any = _SHA256) -> Any:
        key = key or self._authority.key
        return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else digest)

    def make(self, *listed: Issued, number: int | None = None, extensions: Any = (), **how: Any) -> Any:
        """Return a list of these certificates, signed by the authority."""
        self._number = number if number is not None else self._number + 1
        key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._authority.key.public_key())
        own = [(x509.CRLNumber(self._number), False), (key, False)]
        return self.sign(self.builder(*listed, extensions=[*own, *extensions], **how))

    def write(self, path: Path, *listed: Issued, encoding: Encoding = Encoding.DER, **how: Any) -> Path:
        path.write_bytes(self.make(*listed, **how).public_bytes(encoding))
        return path


def another_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())
