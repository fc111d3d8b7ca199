from __future__ import annotations

import base64
import datetime as dt
import hashlib
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from securecore.caches import BoundedCache
from securecore.errors import CertificateExpired, CertificateMalformed, CertificateTooLarge, Misuse
from securecore.identity import ClientCertificate, encodings, parse_escaped_pem, parse_pem
from securecore.testing import Authority, Issued
from securecore_client.wire.thumbprints import base64url
from tests.support import vectors

SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def alice(certificate_for: Callable[[str], Issued]) -> Issued:
    return certificate_for("alice")


@pytest.fixture
def smaller_cache(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """`smaller_cache(4)` replaces the cache of certificates by one for four, until the test ends."""
    return lambda size: monkeypatch.setattr(encodings, "parsed", BoundedCache(size=size))


BEGIN, END = "-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n"


def spoilt_texts(issued: Issued, other: Issued) -> dict[str, str]:
    """Texts with junk around a PEM certificate, or in place of it."""
    pem = issued.pem
    return {
        "nothing": "",
        "blank": " \n\t",
        "text": "SUCCESS",
        "two certificates": pem + other.pem,
        "one certificate twice": pem + pem,
        "certificate and key": pem + issued.key_pem,
        "key and certificate": issued.key_pem + pem,
        "key": issued.key_pem,
        "key called a certificate": issued.key_pem.replace("PRIVATE KEY", "CERTIFICATE"),
        "trusted certificate": pem.replace("CERTIFICATE", "TRUSTED CERTIFICATE"),
        "certificate request": pem.replace("CERTIFICATE", "CERTIFICATE REQUEST"),
        "text before": "Subject: CN=alice\n" + pem,
        "text after": pem + "alice",
        "no beginning": pem.removeprefix(BEGIN),
        "no end": pem.removesuffix(END),
        "NUL in the middle": pem.replace("M", "\0", 1),
        "NUL behind": pem + "\0",
        "Latin-1": pem.replace("M", "\xcf", 1),
        "fullwidth letters": pem.replace("M", "\uff2d", 1),
        "digits of another script": pem.replace("M", "\u0661", 1),
        "lone surrogate": pem.replace("M", "\ud800", 1),
        "spaces of another script": pem.replace("\n", "\u2003"),
    }


def spoilt_bodies(pem: str) -> dict[str, str]:
    """Texts that have the form of a PEM certificate and hold none."""
    body = pem.removeprefix(BEGIN).removesuffix(END)
    der = base64.b64decode(body)
    bodies = {
        "no body": "",
        "blank body": "\n\n",
        "body of padding": "====\n",
        "body of zeros": "AAAA\n",
        "body cut off": body[: len(body) // 2] + "\n",
        "body without its last byte": base64.encodebytes(der[:-1]).decode(),
        "body with a byte more": base64.encodebytes(der + b"\0").decode(),
        "another version": base64.encodebytes(
            der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020105"))
        ).decode(),
        "base64url": body.replace("+", "-").replace("/", "_").replace("M", "-"),
        "header field": "Proc-Type: 4,ENCRYPTED\n\n" + body,
    }
    return {name: BEGIN + text + END for name, text in bodies.items()}


def not_certificates() -> dict[str, str]:
    authority = Authority()
    issued = authority.issue("mallory")
    return spoilt_texts(issued, authority.issue("other")) | spoilt_bodies(issued.pem)


NOT_CERTIFICATES = not_certificates()


class TestThumbprint:
    def test_thumbprint_is_the_one_of_rfc_8705(self) -> None:
        example = vectors.load("rfc_thumbprints.json")["rfc8705"]
        assert parse_pem(example["pem"]).thumbprint == example["x5t#S256"]

    def test_bytes_in_place_of_a_text_teach_the_call(self, alice: Issued) -> None:
        with pytest.raises(Misuse, match="parse_file"):
            parse_pem(alice.pem.encode())  # type: ignore[arg-type]

    def test_thumbprint_is_of_the_bytes_of_rfc_9440(self) -> None:
        example = vectors.load("rfc9440.json")
        der = base64.b64decode(example["client_cert"].strip(":"))
        assert parse_pem(example["pem"][0]).thumbprint == base64url(hashlib.sha256(der).digest())

    @pytest.mark.parametrize("newline", ["\n", "\r\n"])
    def test_thumbprint_does_not_depend_on_how_the_text_is_broken(self, alice: Issued, newline: str) -> None:
        assert parse_pem(alice.pem.replace("\n", newline)) == parse_pem(alice.pem)

    def test_thumbprint_of_every_certificate_is_another(self, ca: Authority) -> None:
        assert len({parse_pem(ca.issue("same name").pem).thumbprint for _ in range(8)}) == 8


class TestParsePem:
    def test_parse_pem_reads_what_the_certificate_says(self, ca: Authority) -> None:
        issued = ca.issue(
            "alice",
            not_before=ca.now,
            not_after=ca.now + SECOND,
            dns_names=["a.example"],
            uris=["spiffe://example/alice"],
            emails=["alice@example.org"],
            addresses=["192.0.2.7", "2001:db8::7"],
        )
        assert parse_pem(issued.pem) == ClientCertificate(
            thumbprint=parse_pem(issued.pem).thumbprint,
            key_thumbprint=parse_pem(issued.pem).key_thumbprint,
            public_key=base64.b64encode(
                issued.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            ).decode(),
            key_type="P-256",
            subject="CN=alice",
            issuer="CN=Test CA",
            serial_number=f"{issued.certificate.serial_number:x}",
            sans=(
                "DNS:a.example",
                "URI:spiffe://example/alice",
                "email:alice@example.org",
                "IP:192.0.2.7",
                "IP:2001:db8::7",
            ),
            not_before=ca.now,
            not_after=ca.now + SECOND,
        )

    def test_parse_pem_reads_the_certificate_of_rfc_9440(self) -> None:
        certificate = parse_pem(vectors.load("rfc9440.json")["pem"][0])
        assert (certificate.subject, certificate.serial_number, certificate.sans) == (
            "CN=BC",
            "7",
            ("email:bdc@example.com",),
        )

    @pytest.mark.parametrize(
        "key",
        [
            ec.generate_private_key(ec.SECP384R1()),
            ed25519.Ed25519PrivateKey.generate(),
            rsa.generate_private_key(65537, 2048),
        ],
        ids=["P-384", "Ed25519", "RSA"],
    )
    def test_parse_pem_reads_every_kind_of_key(self, ca: Authority, key: Any) -> None:
        assert parse_pem(ca.issue("alice", key=key).pem).subject == "CN=alice"

    @pytest.mark.parametrize("name", ["Zo\xeb", "\u674e\u96f7", "a,b+c=d<e>;f", "a\0b", "line\nbreak", " "])
    def test_parse_pem_reads_every_name(self, ca: Authority, name: str) -> None:
        subject = parse_pem(ca.issue(name).pem).subject
        assert subject.startswith("CN=")
        assert "\0" not in subject  # PostgreSQL accepts no NUL in a text

    @pytest.mark.parametrize("text", NOT_CERTIFICATES.values(), ids=NOT_CERTIFICATES)
    def test_parse_pem_refuses_what_is_not_one_certificate(self, text: str) -> None:
        with pytest.raises(CertificateMalformed):
            parse_pem(text)

    @pytest.mark.parametrize(
        "filler", ["\n", " ", "A", "A\n", "-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\n"]
    )
    def test_parse_pem_refuses_a_long_text_at_once(self, filler: str) -> None:
        text = "-----BEGIN CERTIFICATE-----\n" + filler * (16_384 // len(filler))
        started = time.process_time()
        with pytest.raises(CertificateMalformed):
            parse_pem(text)
        assert time.process_time() - started < 0.3  # under a millisecond in linear time, seconds in quadratic time


class TestParseEscapedPem:
    def test_parse_escaped_pem_reads_what_nginx_escapes(self, alice: Issued) -> None:
        assert parse_escaped_pem(alice.escaped) == parse_pem(alice.pem)

    def test_parse_escaped_pem_reads_what_nginx_was_recorded_to_send(self) -> None:
        recorded = vectors.load("front_headers.json")
        headers = dict(recorded["fronts"]["nginx"]["client-a"]["headers"])
        assert parse_escaped_pem(headers["X-SSL-Client-Cert"]) == parse_pem(recorded["leaf_pem"])

    def test_parse_escaped_pem_takes_a_plus_for_itself(self) -> None:
        authority = Authority()  # one certificate in 400 lacks such a character
        pem = next(pem for pem in (authority.issue("alice").pem for _ in range(100)) if "+" in pem)
        assert parse_escaped_pem(quote(pem, safe="+")) == parse_pem(pem)

    @pytest.mark.parametrize("text", NOT_CERTIFICATES.values(), ids=NOT_CERTIFICATES)
    def test_parse_escaped_pem_refuses_what_is_not_one_certificate(self, text: str) -> None:
        with pytest.raises(CertificateMalformed):
            parse_escaped_pem(quote(text, safe="", errors="surrogatepass"))

    @pytest.mark.parametrize("garbage", ["%", "%%", "%0", "%zz", "%ff", "%00", "%u0041", "\xff"])
    @pytest.mark.parametrize("place", ["before", "inside", "behind"])
    def test_parse_escaped_pem_refuses_percent_garbage(self, alice: Issued, garbage: str, place: str) -> None:
        half = len(alice.escaped) // 2
        spoilt = {
            "before": garbage + alice.escaped,
            "inside": alice.escaped[:half] + garbage + alice.escaped[half:],
            "behind": alice.escaped + garbage,
        }
        with pytest.raises(CertificateMalformed):
            parse_escaped_pem(spoilt[place])

    def test_parse_escaped_pem_escapes_once(self, alice: Issued) -> None:
        with pytest.raises(CertificateMalformed):
            parse_escaped_pem(quote(alice.escaped, safe=""))

    def test_parse_escaped_pem_refuses_one_byte_too_many(self, alice: Issued, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(encodings, "MAX_BYTES", len(alice.escaped))
        assert parse_escaped_pem(alice.escaped).subject == "CN=alice"
        with pytest.raises(CertificateTooLarge):
            parse_escaped_pem(alice.escaped + "\n")


class TestCache:
    def test_cache_is_bounded(self, ca: Authority, smaller_cache: Callable[[int], None]) -> None:
        smaller_cache(4)
        for number in range(12):
            parse_escaped_pem(ca.issue(f"client {number}").escaped)
            assert len(encodings.parsed) <= 4
        assert len(encodings.parsed) == 4

    def test_cache_forgets_and_reads_again(self, ca: Authority, smaller_cache: Callable[[int], None]) -> None:
        smaller_cache(2)
        first, *others = (ca.issue(f"client {number}") for number in range(5))
        before = parse_escaped_pem(first.escaped)
        for other in others:
            assert parse_escaped_pem(other.escaped) != before
        assert parse_escaped_pem(first.escaped) == before

    def test_cache_keeps_no_garbage(self, alice: Issued, smaller_cache: Callable[[int], None]) -> None:
        smaller_cache(3)
        held = len(encodings.parsed)
        for number in range(9):
            with pytest.raises(CertificateMalformed):
                parse_escaped_pem(alice.escaped + f"garbage {number}")
        assert len(encodings.parsed) == held


class TestCheckValidity:
    @pytest.fixture
    def certificate(self, ca: Authority) -> ClientCertificate:
        return parse_pem(ca.issue("alice", not_before=ca.now, not_after=ca.now + SECOND).pem)

    @pytest.mark.parametrize("after", [0, 500_000, 1_000_000])
    def test_check_validity_accepts_both_ends(self, certificate: ClientCertificate, after: int) -> None:
        certificate.check_validity(certificate.not_before + dt.timedelta(microseconds=after))

    @pytest.mark.parametrize("after", [-86_400_000_000, -1, 1_000_001, 86_400_000_000])
    def test_check_validity_refuses_what_lies_outside(self, certificate: ClientCertificate, after: int) -> None:
        with pytest.raises(CertificateExpired):
            certificate.check_validity(certificate.not_before + dt.timedelta(microseconds=after))
