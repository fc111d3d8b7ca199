"""Revocation lists: read in pieces, verified, stored, and read by each request and each check."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from django.contrib.auth.models import User
from django.db import transaction

from securecore import caller, clock
from securecore.checks.revocation_lists import w112_revocation_lists
from securecore.errors import CertificateRevoked, Misuse, RevocationListExpired
from securecore.grants import authorize, decide, grant, principal_of
from securecore.identity import enroll_match, match_of, parse_pem
from securecore.identity.revocation_list import file as list_file
from securecore.identity.revocation_list import open_list
from securecore.models import Certificate, ListedCertificate, RevocationList, Session
from securecore.revocation_lists import Imported, ending_lists, import_list
from securecore.testing import Authority, FakeClock, Issued, MutualTLSClient
from tests.events.recorder import recorded
from tests.support.revocation_lists import HOUR, Lists, another_key
from tests.tokens.calls import given, works

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.tokens.urls")]

MAKE = "things.make"
Import = Callable[..., Imported]


@pytest.fixture
def lists(ca: Authority) -> Lists:
    return Lists(ca)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list.crl"


@pytest.fixture
def imported(lists: Lists, path: Path) -> Import:
    """`imported(alice, bob, ...)` imports a new list of these certificates."""

    def imported(*listed: Issued, refuses: bool = False, **how: Any) -> Imported:
        lists.write(path, *listed, **how)
        return import_list(path, authorities=[lists.issued.certificate], refuses_when_expired=refuses)

    return imported


@pytest.fixture
def alice(certificate_for: Callable[[str], Issued]) -> Issued:
    return certificate_for("alice")


@pytest.fixture
def browser(mtls_client: Any) -> MutualTLSClient:
    client: MutualTLSClient = mtls_client("alice")
    return client


def code_of(client: MutualTLSClient) -> str:
    response = client.get("/both")
    return "" if response.status_code == 200 else f"{response.status_code} {response.json()['code']}"


class TestRequest:
    def test_a_listed_certificate_is_refused_and_no_other(
        self, imported: Import, alice: Issued, browser: MutualTLSClient, mtls_client: Any
    ) -> None:
        assert code_of(browser) == ""
        imported(alice)
        assert code_of(browser) == "403 certificate-revoked"
        assert code_of(mtls_client("bob")) == ""

    def test_the_same_serial_number_of_another_issuer_is_another_certificate(
        self, lists: Lists, path: Path, alice: Issued, browser: MutualTLSClient
    ) -> None:
        others = Lists(Authority("Another CA"))
        import_list(others.write(path, alice), authorities=[others.issued.certificate])
        assert code_of(browser) == ""

    def test_a_certificate_that_a_match_enrols_is_refused(
        self, imported: Import, ca: Authority, users: dict[str, User], settings: Any
    ) -> None:
        """No row of the certificate itself exists."""
        settings.SECURECORE = settings.SECURECORE | {"CERTIFICATE_MATCHES": ["subject"]}
        renewed = ca.issue("alice")
        certificate = parse_pem(renewed.pem)
        enroll_match(match=match_of(certificate, "subject"), user=users["alice"], now=clock.now())
        assert caller.user_of_certificate(certificate) == users["alice"]
        imported(renewed)
        with pytest.raises(CertificateRevoked):
            caller.user_of_certificate(certificate)

    def test_a_check_of_a_request_from_before_the_import_allows_nothing(
        self, imported: Import, alice: Issued, users: dict[str, User]
    ) -> None:
        user = users["alice"]
        grant(principal=principal_of(user), permission=MAKE, now=clock.now())
        conditions = caller.Caller((principal_of(user),), certificate=parse_pem(alice.pem)).conditions
        with authorize(principal_of(user), MAKE, conditions=conditions, clock=clock.now) as decision:
            assert decision
        imported(alice)
        with transaction.atomic():
            decision = decide(principal_of(user), MAKE, conditions=conditions, clock=clock.now)
        assert decision.reason == "certificate-revoked"

    def test_sessions_and_tokens_end(self, imported: Import, alice: Issued, browser: MutualTLSClient) -> None:
        browser.post("/auth/login")
        token = given(browser)["access_token"]
        assert works(browser, token)
        result = imported(alice)
        assert result.revoked == [parse_pem(alice.pem).thumbprint]
        assert not Session.objects.exists()
        assert imported(alice).revoked == []

    def test_a_certificate_on_hold_comes_back(self, imported: Import, alice: Issued, browser: MutualTLSClient) -> None:
        browser.post("/auth/login")
        assert imported(alice, reason=x509.ReasonFlags.certificate_hold).revoked == []
        assert code_of(browser) == "403 certificate-revoked"
        result = imported()
        assert (result.added, result.removed) == (0, 1)
        assert code_of(browser) == ""
        assert Session.objects.exists()
        imported(alice, reason=x509.ReasonFlags.certificate_hold)
        assert imported(alice, reason=x509.ReasonFlags.key_compromise).revoked == [parse_pem(alice.pem).thumbprint]


class TestExpiry:
    def test_entries_count_after_the_list_has_ended(
        self, imported: Import, alice: Issued, browser: MutualTLSClient, mtls_client: Any, fake_clock: FakeClock
    ) -> None:
        imported(alice)
        fake_clock.advance(hours=2)
        assert code_of(browser) == "403 certificate-revoked"
        assert code_of(mtls_client("bob")) == ""
        assert [row.issuer for row in ending_lists(clock.now(), within=dt.timedelta())] == ["CN=Test CA"]

    @pytest.mark.parametrize(("refuses", "text"), [(False, "are accepted"), (True, "is refused")])
    def test_a_check_reports_a_list_that_has_ended(
        self, imported: Import, fake_clock: FakeClock, refuses: bool, text: str
    ) -> None:
        imported(refuses=refuses)
        assert w112_revocation_lists(databases=["default"]) == []
        fake_clock.advance(hours=2)
        assert w112_revocation_lists(databases=[]) == []
        (found,) = w112_revocation_lists(databases=["default"])
        assert (found.id, text in found.msg) == ("securecore.W112", True)

    def test_every_certificate_is_refused_if_the_operator_chose_so(
        self, imported: Import, alice: Issued, mtls_client: Any, certificate_for: Any, fake_clock: FakeClock
    ) -> None:
        bob = mtls_client("bob")
        imported(alice, refuses=True)
        fake_clock.advance(minutes=59)
        assert code_of(bob) == ""
        fake_clock.advance(minutes=2)
        assert code_of(bob) == "503 revocation-list-expired"
        assert bob.get("/both")["Retry-After"] == "60"
        with pytest.raises(RevocationListExpired):
            caller.user_of_certificate(parse_pem(certificate_for("bob").pem))
        imported(alice, refuses=True)
        assert code_of(bob) == ""


class TestImport:
    def test_it_writes_differences_only(self, imported: Import, ca: Authority) -> None:
        many = [ca.issue(str(number), key=another_key()) for number in range(4)]
        first = imported(*many[:3])
        assert (first.added, first.removed, first.row.entries) == (3, 0, 3)
        second = imported(*many[1:])
        assert (second.added, second.removed, second.row.entries) == (1, 1, 3)
        assert RevocationList.objects.count() == 1
        assert ListedCertificate.objects.count() == 3
        with recorded() as events:
            third = imported(*many[1:])
        assert (third.added, third.removed) == (0, 0)
        assert vars(events[-1])["entries"] == 3

    def test_lists_of_two_distribution_points_stand_beside_each_other(self, imported: Import, ca: Authority) -> None:
        def scope(uri: str) -> list[tuple[x509.ExtensionType, bool]]:
            point = x509.IssuingDistributionPoint(
                full_name=[x509.UniformResourceIdentifier(uri)],
                relative_name=None,
                only_contains_user_certs=True,
                only_contains_ca_certs=False,
                only_some_reasons=None,
                indirect_crl=False,
                only_contains_attribute_certs=False,
            )
            return [(point, True)]

        for uri in ("http://a/1", "http://a/2"):
            imported(ca.issue(uri, key=another_key()), extensions=scope(uri))
        assert ListedCertificate.objects.count() == 2

    def test_an_older_list_is_refused(self, imported: Import, alice: Issued, lists: Lists) -> None:
        imported(alice, number=7)
        with pytest.raises(Misuse, match="is older than the list in force"):
            imported(number=6)
        with pytest.raises(Misuse, match="is older than the list in force"):
            imported(number=8, this_update=-2 * HOUR)
        assert ListedCertificate.objects.count() == 1

    def test_a_list_of_many_batches(self, imported: Import, ca: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(list_file, "BATCH", 3)
        many = [ca.issue(str(number), key=another_key()) for number in range(7)]
        assert imported(*many, reason=x509.ReasonFlags.superseded).row.entries == 7
        assert set(ListedCertificate.objects.values_list("reason", flat=True)) == {4}
        assert set(ListedCertificate.objects.values_list("certificate", flat=True)) == {
            parse_pem(each.pem).serial_id for each in many
        }

    def test_a_certificate_that_is_listed_twice_counts_once(self, imported: Import, alice: Issued) -> None:
        assert imported(alice, alice).row.entries == 1
        assert imported(alice, alice, reason=x509.ReasonFlags.key_compromise).row.entries == 1

    def test_pem_with_text_around_it(self, lists: Lists, path: Path, alice: Issued) -> None:
        lists.write(path, alice, encoding=Encoding.PEM)
        path.write_bytes(b"-----BEGIN COMMENT-----\r\n" + path.read_bytes().replace(b"\n", b"\r\n"))
        import_list(path, authorities=[lists.issued.certificate])
        assert ListedCertificate.objects.count() == 1

    def test_no_row_of_the_certificate_is_needed(self, imported: Import, ca: Authority) -> None:
        imported(ca.issue("never seen"))
        assert not Certificate.objects.exists()


class TestSignature:
    @pytest.mark.parametrize("kind", ["rsa", "rsa-pss", "ed25519"])
    def test_every_kind_of_key(self, path: Path, alice: Issued, kind: str) -> None:
        key: Any = ed25519.Ed25519PrivateKey.generate()
        if kind != "ed25519":
            key = rsa.generate_private_key(65537, 2048)
        issuing = keyed(key)
        signed = issuing.make(alice)
        if kind == "rsa-pss":
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
            signed = issuing.builder(alice).sign(key, hashes.SHA256(), rsa_padding=pss)
        der = signed.public_bytes(Encoding.DER)
        path.write_bytes(der)
        import_list(path, authorities=[issuing.issued.certificate])
        assert ListedCertificate.objects.count() == 1
        serial = alice.certificate.serial_number.to_bytes(20, "big").lstrip(b"\0")
        assert serial in der
        path.write_bytes(der.replace(serial, serial[:-1] + bytes([serial[-1] ^ 1])))
        with pytest.raises(Misuse, match="another key signed it"):
            import_list(path, authorities=[issuing.issued.certificate])

    def test_another_key_is_refused(self, lists: Lists, path: Path, alice: Issued) -> None:
        forged = lists.sign(lists.builder(alice), another_key())
        path.write_bytes(forged.public_bytes(Encoding.DER))
        with pytest.raises(Misuse, match="another key signed it"):
            import_list(path, authorities=[lists.issued.certificate])

    def test_each_changed_byte_is_refused(self, lists: Lists, path: Path, alice: Issued) -> None:
        good = lists.make(alice).public_bytes(Encoding.DER)
        for place in range(0, len(good), 3):
            path.write_bytes(good[:place] + bytes([good[place] ^ 0x15]) + good[place + 1 :])
            with pytest.raises(Misuse):
                import_list(path, authorities=[lists.issued.certificate])
        for length in range(0, len(good), 7):
            path.write_bytes(good[:length])
            with pytest.raises(Misuse):
                import_list(path, authorities=[lists.issued.certificate])
        assert not ListedCertificate.objects.exists()

    def test_another_authority_is_named(self, lists: Lists, path: Path) -> None:
        lists.write(path)
        with pytest.raises(Misuse, match="none of the 1 certificates is that authority's"):
            import_list(path, authorities=[Lists(Authority("Another CA")).issued.certificate])

    def test_an_authority_that_may_sign_no_lists_is_refused(self, ca: Authority, lists: Lists, path: Path) -> None:
        lists.write(path)
        no_authority = x509.BasicConstraints(ca=False, path_length=None)
        for options in ({"extensions": [no_authority]}, {"not_after": clock.now() - HOUR}):
            issued = ca.issue("Test CA", key=ca.key, **options)
            with pytest.raises(Misuse, match=r"may not sign|not valid at this time"):
                import_list(path, authorities=[issued.certificate])

    @pytest.mark.parametrize("digest", [b"\x05", b"\x04"], ids=["SHA-1", "MD5"])
    def test_a_broken_digest_proves_nothing(self, path: Path, digest: bytes) -> None:
        """cryptography signs no such list any more, so the algorithm of a good one is replaced."""
        issuing = keyed(rsa.generate_private_key(65537, 2048))
        of_sha256 = bytes.fromhex("2a864886f70d01010b")
        der = issuing.make().public_bytes(Encoding.DER)
        path.write_bytes(der.replace(of_sha256, of_sha256[:-1] + digest))
        with pytest.raises(Misuse, match="MD5 or SHA-1"):
            import_list(path, authorities=[issuing.issued.certificate])


def keyed(key: Any) -> Lists:
    """The lists of an authority with this key."""
    authority = Authority("Keyed CA")
    authority.key = key
    issuing = Lists.__new__(Lists)
    issuing.__dict__.update(_authority=authority, _number=0, issued=self_signed(authority))
    return issuing


def self_signed(authority: Authority) -> Issued:
    now = clock.now()
    builder = (
        x509.CertificateBuilder()
        .subject_name(authority.name)
        .issuer_name(authority.name)
        .public_key(authority.key.public_key())
        .serial_number(1)
        .not_valid_before(now - HOUR)
        .not_valid_after(now + HOUR)
    )
    digest = None if isinstance(authority.key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Issued(builder.sign(authority.key, digest), authority.key)


class TestKind:
    @pytest.mark.parametrize(
        ("how", "message"),
        [
            ({"next_update": -HOUR / 2}, "The list ended at"),
            ({"this_update": HOUR / 2}, "The list begins at"),
            ({"extensions": [(x509.DeltaCRLIndicator(1), True)]}, "delta list"),
            ({"extensions": [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0"), True)]}, "1.2.3"),
            ({"entry_extensions": [(x509.CertificateIssuer([x509.DNSName("a")]), True)]}, "indirect list"),
            (
                {"entry_extensions": [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0"), True)]},
                "1.2.3",
            ),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_another_kind_is_refused(self, imported: Import, alice: Issued, how: Any, message: str) -> None:
        with pytest.raises(Misuse, match=message):
            imported(alice, **how)
        assert not RevocationList.objects.exists()
        assert not ListedCertificate.objects.exists()

    def test_a_list_without_an_end_is_refused(self, lists: Lists, path: Path) -> None:
        """cryptography makes no such list, so the field is cut out of one."""
        signed = lists.make()
        tbs, der = signed.tbs_certlist_bytes, signed.public_bytes(Encoding.DER)
        end = b"\x17\x0d" + signed.next_update_utc.strftime("%y%m%d%H%M%SZ").encode()
        fields = tbs[3 if tbs[1] == 0x81 else 2 :].replace(end, b"")
        outside = der[der.index(tbs) + len(tbs) :]
        path.write_bytes(list_file._sequence(list_file._sequence(fields) + outside))
        with pytest.raises(Misuse, match="no nextUpdate"):
            import_list(path, authorities=[lists.issued.certificate])

    @pytest.mark.parametrize(
        ("scope", "message"),
        [
            ({"indirect_crl": True}, "indirect list"),
            ({"only_contains_ca_certs": True}, "authorities or attribute"),
            ({"only_contains_attribute_certs": True}, "authorities or attribute"),
            ({"only_some_reasons": frozenset([x509.ReasonFlags.key_compromise])}, "some reasons"),
        ],
    )
    def test_a_list_about_less_is_refused(self, imported: Import, scope: Any, message: str) -> None:
        whole = {
            "full_name": None,
            "relative_name": None,
            "only_contains_user_certs": False,
            "only_contains_ca_certs": False,
            "only_some_reasons": None,
            "indirect_crl": False,
            "only_contains_attribute_certs": False,
        }
        with pytest.raises(Misuse, match=message):
            imported(extensions=[(x509.IssuingDistributionPoint(**(whole | scope)), True)])

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"x",
            b"\x30\x80",
            b"\x30\x03\x02\x01\x01",
            b"-----BEGIN X509 CRL-----\nAAAA",
            b"-----BEGIN CERTIFICATE-----\n",
            b"-----BEGIN X509 CRL-----\n!\n-----END X509 CRL-----\n",
            b"\x30\x84\xff\xff\xff\xff\x30\x00",
        ],
    )
    def test_another_file_is_no_list(self, path: Path, lists: Lists, content: bytes) -> None:
        path.write_bytes(content)
        with pytest.raises(Misuse):
            import_list(path, authorities=[lists.issued.certificate])

    def test_a_certificate_is_no_list(self, path: Path, alice: Issued) -> None:
        for content in (alice.der, alice.pem.encode()):
            path.write_bytes(content)
            with pytest.raises(Misuse), open_list(path):
                pass
