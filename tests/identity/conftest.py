from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from securecore.testing import Authority, Issued


def authority_extensions(key: Any, path_length: int | None = None) -> list[x509.ExtensionType]:
    """The extensions of an authority's certificate (RFC 5280 section 4.2.1)."""
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return [
        x509.BasicConstraints(ca=True, path_length=path_length),
        x509.KeyUsage(**usage, key_cert_sign=True, crl_sign=True),
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
    ]


class Chain:
    """A root, an intermediate authority, and a certificate that the intermediate issued."""

    def __init__(self, *constraints: x509.ExtensionType) -> None:
        self._top = Authority("Root")
        key_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._top.key.public_key())
        self.root = self._top.issue("Root", key=self._top.key, extensions=authority_extensions(self._top.key))
        self.authority = Authority("Intermediate")
        self.intermediate = self._top.issue(
            "Intermediate",
            key=self.authority.key,
            extensions=[*authority_extensions(self.authority.key), key_identifier, *constraints],
        )

    def issue(self, name: str, *extensions: x509.ExtensionType, **options: Any) -> Issued:
        by = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.authority.key.public_key())
        return self.authority.issue(name, extensions=[by, *extensions], **options)


@pytest.fixture
def chained() -> tuple[Issued, Issued, Issued]:
    """A certificate, its issuer, and the root."""
    chain = Chain()
    return chain.issue("alice", key=ec.generate_private_key(ec.SECP256R1())), chain.intermediate, chain.root
