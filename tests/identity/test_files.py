"""Certificates as people have them: the files that openssl writes, and the spellings of a thumbprint."""

from __future__ import annotations

import codecs
import datetime as dt
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import RequestFactory

from securecore import caller
from securecore.admin.certificates import CertificateAdmin
from securecore.errors import CertificateMalformed, CertificateRevoked, Misuse
from securecore.grants import principals
from securecore.identity import Certificate, enroll, parse_escaped_pem, parse_file, parse_pem
from securecore.identity.encodings import parse_base64_chain
from securecore.revocation import revoke_certificate
from securecore.testing import Authority, Issued
from securecore.thumbprints import thumbprint_in


def openssl(*arguments: object, given: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *map(str, arguments)], input=given, capture_output=True, check=True).stdout


@pytest.fixture
def ca_pem() -> Callable[[Authority], str]:
    """The authority's own certificate."""

    def pem(ca: Authority) -> str:
        issued = ca.issue("Test CA", key=ca.key, extensions=[x509.BasicConstraints(ca=True, path_length=None)])
        return issued.pem

    return pem


@pytest.fixture
def alice(ca: Authority) -> Issued:
    return ca.certificate_for("alice")


class TestFile:
    def test_file_of_openssl_x509_text(self, alice: Issued) -> None:
        assert parse_file(openssl("x509", "-text", given=alice.pem.encode())) == parse_pem(alice.pem)

    @pytest.mark.parametrize("options", [(), ("-clcerts", "-nokeys"), ("-nodes",)])
    def test_file_of_openssl_pkcs12(
        self, ca: Authority, alice: Issued, ca_pem: Any, tmp_path: Path, options: tuple[str, ...]
    ) -> None:
        (tmp_path / "chain.pem").write_text(ca_pem(ca) + alice.pem)
        (tmp_path / "alice.pem").write_text(alice.key_pem + alice.pem)
        p12 = tmp_path / "alice.p12"
        openssl("pkcs12", "-export", "-in", tmp_path / "alice.pem", "-certfile", tmp_path / "chain.pem", "-out", p12,
                "-passout", "pass:x", "-name", "alice's own")  # fmt: skip
        written = openssl("pkcs12", "-in", p12, "-passin", "pass:x", "-passout", "pass:xxxx", *options)
        assert b"Bag Attributes" in written
        assert parse_file(written) == parse_pem(alice.pem)
        with pytest.raises(CertificateMalformed, match="openssl pkcs12"):
            parse_file(p12.read_bytes())

    @pytest.mark.parametrize(
        "written",
        [
            lambda issued: issued.der,
            lambda issued: codecs.BOM_UTF8 + issued.pem.encode(),
            lambda issued: issued.pem.encode("utf-16"),
            lambda issued: issued.pem.replace("\n", "\r\n").encode(),
            lambda issued: issued.pem.replace("CERTIFICATE", "X509 CERTIFICATE").encode(),
            lambda issued: (issued.pem + issued.pem).encode(),
            lambda issued: ("subject=CN = älice\n" + issued.pem + issued.key_pem).encode("latin-1"),
        ],
        ids=["DER", "BOM", "UTF-16", "CRLF", "X509", "twice", "Latin-1 text and a key"],
    )
    def test_file_of_another_form(self, alice: Issued, written: Callable[[Issued], bytes]) -> None:
        assert parse_file(written(alice)) == parse_pem(alice.pem)

    @pytest.mark.parametrize("written", [b"", b"0", b"0\x82junk", b"text", b"-----BEGIN CERTIFICATE-----"])
    def test_file_without_a_certificate_says_so(self, written: bytes) -> None:
        with pytest.raises(CertificateMalformed, match="certificate"):
            parse_file(written)

    def test_file_of_two_clients_names_no_one(self, ca: Authority, alice: Issued) -> None:
        with pytest.raises(CertificateMalformed, match="2 client certificates"):
            parse_file((alice.pem + ca.certificate_for("bob").pem).encode())

    def test_header_stays_strict(self, alice: Issued) -> None:
        for presented in ("text\n" + alice.pem, alice.pem + alice.pem):
            with pytest.raises(CertificateMalformed):
                parse_escaped_pem(presented)


SPELLINGS: dict[str, Callable[[Issued], str]] = {
    "RFC 8705": lambda issued: parse_pem(issued.pem).thumbprint,
    "base64": lambda issued: hashed(issued, "-binary", then=("base64", "-A")),
    "hexadecimal": lambda issued: hashed(issued).rpartition(" ")[2].strip(),
    "openssl": lambda issued: openssl("x509", "-noout", "-fingerprint", "-sha256", given=issued.pem.encode()).decode(),
    "colons": lambda issued: SPELLINGS["openssl"](issued).partition("=")[2].lower(),
    "spaces": lambda issued: SPELLINGS["colons"](issued).replace(":", " "),
}


def hashed(issued: Issued, *options: str, then: tuple[str, ...] = ()) -> str:
    digest = openssl("dgst", "-sha256", *options, given=issued.der)
    return (openssl(*then, given=digest) if then else digest).decode()


@pytest.mark.parametrize("spelling", SPELLINGS)
class TestThumbprint:
    def test_thumbprint_is_read(self, ca: Authority, spelling: str) -> None:
        issued = ca.issue("zoe")
        thumbprint = parse_pem(issued.pem).thumbprint
        assert thumbprint_in(SPELLINGS[spelling](issued)) == thumbprint
        assert principals.certificate(SPELLINGS[spelling](issued)) == f"certificate:{thumbprint}"

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("how", ["function", "command"])
    def test_thumbprint_revokes(
        self, ca: Authority, rf: RequestFactory, now: dt.datetime, spelling: str, how: str
    ) -> None:
        issued, user = ca.issue("zoe"), User.objects.create(username="zoe")
        certificate, spelled = parse_pem(issued.pem), SPELLINGS[spelling](issued)
        enroll(certificate=certificate, user=user, now=now)
        rows = CertificateAdmin(Certificate, site)
        assert rows.get_search_results(rf.get("/"), Certificate.objects.all(), spelled)[0].count() == 1
        if how == "function":
            revoke_certificate(thumbprint=spelled)
        else:
            call_command("securecore_certificates", "revoke", spelled)
        with pytest.raises(CertificateRevoked):
            caller.user_of_certificate(certificate)


@pytest.mark.parametrize("spelled", ["", "5b0e", "AB:" * 19 + "AB", "a" * 64 + "b", "x" * 64])
def test_a_serial_number_or_a_sha1_is_no_thumbprint(spelled: str) -> None:
    assert thumbprint_in(spelled) is None
    with pytest.raises(Misuse, match="-sha256"):
        principals.certificate(spelled)


def with_subject(ca: Authority, subject: x509.Name, *extensions: x509.ExtensionType) -> bytes:
    now = ca.now
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(ca.name).serial_number(7)
    builder = builder.public_key(ca.issue("x").certificate.public_key())
    builder = builder.not_valid_before(now - dt.timedelta(1)).not_valid_after(now + dt.timedelta(1))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(ca.key, hashes.SHA256()).public_bytes(Encoding.DER)


#: Müller in Latin-1, as long as MARKER.
MUELLER = "Müller".encode("latin-1")


class TestOddNames:
    @pytest.mark.parametrize("tag", [0x14, 0x0C])
    def test_odd_name_in_latin_1_refuses_no_certificate(self, ca: Authority, tag: int) -> None:
        """T61String, and a UTF8String that holds Latin-1 by mistake."""
        name = x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "a+b"), x509.NameAttribute(NameOID.COMMON_NAME, "MARKER")]
        )
        der = with_subject(ca, name).replace(b"\x0c\x06MARKER", bytes([tag, 6]) + MUELLER)
        certificate = parse_file(der)
        assert certificate.subject == f"CN=#{tag:02x}06{MUELLER.hex()},O=a\\+b"
        assert certificate.issuer == "CN=Test CA"

    def test_odd_extension_refuses_no_certificate(self, ca: Authority) -> None:
        sans = x509.SubjectAlternativeName(
            [x509.DNSName("a.example"), x509.RFC822Name("a@example.org"), x509.UniformResourceIdentifier("urn:a")]
        )
        notice = x509.UserNotice(None, "MARKER")
        policies = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), [notice])])
        good = with_subject(ca, ca.name, sans, policies)
        bad = good.replace(b"MARKER", MUELLER)
        with pytest.raises(ValueError, match="parsing"):
            x509.load_der_x509_certificate(bad).extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
        assert parse_file(bad).sans == parse_file(good).sans == ("DNS:a.example", "email:a@example.org", "URI:urn:a")


@pytest.mark.parametrize("escape", [str, quote_plus])
def test_traefik_has_two_spellings(alice: Issued, escape: Callable[[str], str]) -> None:
    """Traefik 2.8 to 2.9.1 escapes its header as a query."""
    assert parse_base64_chain(escape(alice.base64)) == parse_pem(alice.pem)
