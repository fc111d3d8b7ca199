"""Certificates that securecore itself verifies: chains, purposes, name constraints, issuers, kinds of key."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from securecore.errors import CertificateNotVerified, Refused
from securecore.identity import ClientCertificate, chain
from securecore.identity.certificates import read
from securecore.testing.authority import DAY, Issued
from tests.identity.conftest import Chain, authority_extensions
from tests.support.rsa_keys import rsa_key

Trust = Callable[..., None]


@pytest.fixture
def trust(settings: Any, tmp_path: Path) -> Trust:
    """`trust(root)` makes the certificates the roots of the application; `intermediates=` are known as well."""

    def trust(*roots: Issued, intermediates: tuple[Issued, ...] = (), **changed: Any) -> None:
        files = {}
        if roots or intermediates:
            path = tmp_path / "authorities.pem"
            path.write_text("".join(each.pem for each in (*intermediates, *roots)))
            files["CERTIFICATE_AUTHORITIES"] = str(path)
        settings.SECURECORE = {**settings.SECURECORE, **files, **changed}
        chain._authorities.cache_clear()

    return trust


def presented(*issued: Issued) -> ClientCertificate:
    return read(tuple(each.certificate for each in issued))


def is_believed(certificate: ClientCertificate, now: dt.datetime) -> bool:
    try:
        chain.check(certificate, now)
    except CertificateNotVerified:
        return False
    return True


class TestRoots:
    def test_roots_chain_to_one_is_believed(self, trust: Trust, now: dt.datetime) -> None:
        pki = Chain()
        trust(pki.root)
        assert is_believed(presented(pki.issue("alice"), pki.intermediate), now)

    def test_roots_chain_may_lack_what_we_know(self, trust: Trust, now: dt.datetime) -> None:
        """nginx forwards no chain, so the settings hold the intermediate authorities."""
        pki = Chain()
        trust(pki.root, intermediates=(pki.intermediate,))
        assert is_believed(presented(pki.issue("alice")), now)

    def test_roots_chain_with_a_gap_is_not(self, trust: Trust, now: dt.datetime) -> None:
        pki = Chain()
        trust(pki.root)
        assert not is_believed(presented(pki.issue("alice")), now)

    def test_roots_chain_to_another_is_not(self, trust: Trust, now: dt.datetime) -> None:
        """The other root has the same name and another key."""
        pki, other = Chain(), Chain()
        trust(pki.root)
        assert not is_believed(presented(other.issue("alice"), other.intermediate), now)
        assert not is_believed(presented(other.issue("alice"), pki.intermediate), now)
        assert not is_believed(presented(other.issue("alice"), other.intermediate, other.root), now)

    def test_roots_chain_is_not_longer_than_allowed(self, trust: Trust, now: dt.datetime) -> None:
        pki = Chain()
        below = Chain()
        lower = pki.issue("Intermediate", *authority_extensions(below.authority.key), key=below.authority.key)
        certificate = presented(below.issue("alice"), lower, pki.intermediate)
        trust(pki.root)
        assert is_believed(certificate, now)
        lowest = Chain()
        third = below.issue("Intermediate", *authority_extensions(lowest.authority.key), key=lowest.authority.key)
        assert not is_believed(presented(lowest.issue("alice"), third, lower, pki.intermediate), now)

    def test_roots_dates_of_an_authority_count(self, trust: Trust, now: dt.datetime) -> None:
        """A certificate of ten days by an authority of one day: on the second day the chain is expired."""
        pki = Chain()
        certificate = presented(pki.issue("alice", not_after=now + 10 * DAY), pki.intermediate)
        trust(pki.root)
        assert is_believed(certificate, now)
        assert not is_believed(certificate, now + 2 * DAY)

    def test_roots_are_not_asked_when_there_are_none(self, now: dt.datetime) -> None:
        assert is_believed(presented(Chain().issue("alice")), now)

    def test_roots_say_nothing_of_what_is_enrolled_as_self_signed(self, trust: Trust, now: dt.datetime) -> None:
        pki = Chain()
        trust(pki.root)
        assert is_believed(dataclasses.replace(presented(Chain().issue("alice")), is_verified=False), now)


def usage(**allowed: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    others = ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in (*names, *others)})


CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


class TestPurpose:
    @pytest.mark.parametrize(
        ("extension", "believed"),
        [
            (x509.ExtendedKeyUsage([CLIENT]), True),
            (x509.ExtendedKeyUsage([SERVER, CLIENT]), True),
            (x509.ExtendedKeyUsage([SERVER]), False),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False),
            (usage(digital_signature=True), True),
            (usage(key_agreement=True), False),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.BasicConstraints(ca=True, path_length=0), False),
        ],
    )
    def test_purpose_is_a_client_s(self, trust: Trust, now: dt.datetime, extension: Any, believed: bool) -> None:
        pki = Chain()
        trust(pki.root)
        assert is_believed(presented(pki.issue("alice", extension), pki.intermediate), now) is believed


class TestNameConstraints:
    @pytest.mark.parametrize(
        ("permitted", "names", "believed"),
        [
            (x509.DNSName("ours.example"), {"dns_names": ["a.ours.example"]}, True),
            (x509.DNSName("ours.example"), {"dns_names": ["ours.example.evil"]}, False),
            (x509.RFC822Name("ours.example"), {"emails": ["a@ours.example"]}, True),
            (x509.RFC822Name("ours.example"), {"emails": ["a@evil.example"]}, False),
            # cryptography does not judge constraints on URIs. A certificate with such a constraint is refused (RFC 5280
            # section 4.2).
            (x509.UniformResourceIdentifier("ours.example"), {"uris": ["spiffe://ours.example/a"]}, False),
        ],
    )
    def test_name_constraints_of_an_authority_hold(
        self, trust: Trust, now: dt.datetime, permitted: x509.GeneralName, names: dict[str, Any], believed: bool
    ) -> None:
        pki = Chain(x509.NameConstraints([permitted], None))
        trust(pki.root)
        assert is_believed(presented(pki.issue("alice", **names), pki.intermediate), now) is believed


class TestIssuers:
    def test_issuers_that_are_listed_are_believed(self, trust: Trust, now: dt.datetime) -> None:
        certificate = presented(Chain().issue("alice"))
        trust(CERTIFICATE_ISSUERS=["CN=Another", "CN=Intermediate"])
        assert is_believed(certificate, now)
        trust(CERTIFICATE_ISSUERS=["CN=Another", "CN=Intermediate,O=x", "O=Intermediate"])
        assert not is_believed(certificate, now)


KEYS = {
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "secp256k1": ec.generate_private_key(ec.SECP256K1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "RSA-1024": rsa_key(1024),
    "RSA-2048": rsa_key(2048),
}


class TestKeyTypes:
    @pytest.mark.parametrize("key_type", KEYS)
    def test_key_types_are_named_by_kind_and_size(self, key_type: str) -> None:
        assert presented(Chain().issue("alice", key=KEYS[key_type])).key_type == key_type

    @pytest.mark.parametrize(
        ("wanted", "believed"),
        [
            ([], set(KEYS)),
            (["P-256"], {"P-256"}),
            (["Ed25519", "P-384"], {"P-384", "Ed25519"}),
            (["RSA-2048"], {"RSA-2048"}),
            (["RSA-1024"], {"RSA-1024", "RSA-2048"}),
            (["RSA-4096"], set()),
        ],
    )
    def test_key_types_that_are_listed_are_believed(
        self, trust: Trust, now: dt.datetime, wanted: list[str], believed: set[str]
    ) -> None:
        trust(CERTIFICATE_KEY_TYPES=wanted)
        certificates = {name: presented(Chain().issue("alice", key=key)) for name, key in KEYS.items()}
        assert {name for name, each in certificates.items() if is_believed(each, now)} == believed


def test_a_refusal_is_403(trust: Trust, now: dt.datetime) -> None:
    """RFC 9440 section 2.4."""
    trust(CERTIFICATE_ISSUERS=["CN=Another"])
    with pytest.raises(Refused) as refused:
        chain.check(presented(Chain().issue("alice")), now)
    assert refused.value.status == 403
