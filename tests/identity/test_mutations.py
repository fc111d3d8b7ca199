"""Thousands of broken certificates: each gives a value or a refusal, and never another exception."""

from __future__ import annotations

import base64
import random
import warnings
from collections.abc import Callable, Iterator
from urllib.parse import quote, unquote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning

from securecore.errors import CertificateMalformed
from securecore.identity import ClientCertificate, parse_pem
from securecore.testing import Authority, Issued, MutualTLSClient

SEED = 20261122


def mutations(whole: bytes, count: int) -> Iterator[bytes]:
    """Return about `count` versions of `whole`, with a few bytes flipped, changed, removed or inserted."""
    chance = random.Random(SEED)
    for _ in range(count):
        part = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 3, 8))):
            place = chance.randrange(len(part))
            match chance.randrange(4):
                case 0:
                    part[place] = (part[place] + chance.randrange(1, 256)) % 256
                case 1:
                    part[place] ^= 1 << chance.randrange(8)
                case 2:
                    del part[place : min(place + chance.choice((1, 1, 2, 16)), len(part) - 1)]
                case _:
                    part[place:place] = chance.randbytes(chance.choice((1, 2, 16)))
        if part != whole:
            yield bytes(part)


def pem(der: bytes) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(der).decode()}-----END CERTIFICATE-----\n"


@pytest.fixture
def good(ca: Authority) -> bytes:
    """A certificate with every kind of name."""
    issued = ca.issue(
        "alice",
        dns_names=["a.example"],
        uris=["spiffe://example/alice"],
        emails=["alice@example.org"],
        addresses=["192.0.2.7", "2001:db8::7"],
    )
    return issued.certificate.public_bytes(Encoding.DER)


class TestMutations:
    def test_mutations_of_der_are_a_value_or_a_refusal(self, good: bytes) -> None:
        values: list[ClientCertificate] = []
        refused = 0
        with warnings.catch_warnings():
            # In production a warning stays a warning. Here it would become an exception that the parser hides.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            for mutated in mutations(good, 4000):
                try:
                    values.append(parse_pem(pem(mutated)))
                except CertificateMalformed:
                    refused += 1
        assert values
        assert refused > 2000
        original = parse_pem(pem(good)).thumbprint
        assert original not in {value.thumbprint for value in values}
        assert "\0" not in "".join(value.subject + value.issuer for value in values)

    @pytest.mark.django_db
    @pytest.mark.urls("tests.http.urls")
    def test_mutations_of_the_header_are_never_alice(
        self, mtls_client: Callable[..., MutualTLSClient], certificate_for: Callable[[str], Issued]
    ) -> None:
        client = mtls_client("alice")
        alice = certificate_for("alice")
        der = alice.certificate.public_bytes(Encoding.DER)
        texts = [mutated.decode("latin-1") for mutated in mutations(alice.escaped.encode(), 300)]
        texts += [quote(mutated.decode("latin-1"), safe="") for mutated in mutations(alice.pem.encode(), 300)]
        texts += [quote(pem(mutated), safe="") for mutated in mutations(der, 300)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            answers = [(text, client.get("/seen", HTTP_X_SSL_CLIENT_CERT=text)) for text in texts]
        assert {answer.status_code for _, answer in answers} <= {200, 400, 403, 431}
        for text, answer in answers:
            if answer.status_code == 200 and answer.json()["user"] is not None:
                # Some characters of PEM mean nothing. Then the mutation is Alice's own certificate, bit by bit.
                assert base64.b64decode(unquote(text).split("-----")[2]) == der

    def test_mutations_differ_from_each_other(self, good: bytes) -> None:
        assert len(set(mutations(good, 4000))) > 3800
