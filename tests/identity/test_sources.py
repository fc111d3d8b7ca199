"""The header format of each proxy: recorded values in both directions, and values that are almost right."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from securecore.errors import CertificateMalformed, CertificateNotVerified, CertificateTooLarge, Refused
from securecore.http.edge.sources import SOURCES
from securecore.identity import ClientCertificate, parse_pem
from securecore.testing import Authority, Issued
from tests.support import vectors

#: For each source: the header of the certificate, and the headers that must accompany it.
CERTIFICATE = {
    "nginx": "X-SSL-Client-Cert",
    "haproxy": "Client-Cert",
    "rfc9440": "Client-Cert",
    "caddy": "Client-Cert",
    "traefik": "X-Forwarded-Tls-Client-Cert",
    "envoy": "X-Forwarded-Client-Cert",
    "aws-alb": "X-Amzn-Mtls-Clientcert-Leaf",
    "aws-alb-passthrough": "X-Amzn-Mtls-Clientcert",
}
SUCCESS = {"nginx": "SUCCESS", "haproxy": "0"}


def read(source: str, headers: Any) -> ClientCertificate | None:
    """Read headers as gunicorn hands them over: in capitals, doubled ones joined, names with an underscore dropped."""
    meta: dict[str, str] = {}
    for name, value in headers:
        if "_" in name:
            continue
        key = "HTTP_" + name.upper().replace("-", "_")
        meta[key] = f"{meta[key]},{value}" if key in meta else value
    chosen = SOURCES[source]
    return chosen.read({name: meta.get(name, "") for name in chosen.reads})


def encoded(source: str, issued: Issued) -> str:
    """Return the certificate in the proxy's spelling."""
    match source:
        case "haproxy" | "rfc9440" | "caddy":
            return f":{issued.base64}:"
        case "traefik":
            return issued.base64
        case "envoy":
            return f'Hash={digest(issued)};Cert="{issued.escaped}";Subject="CN=alice,O=x";URI='
        case "aws-alb" | "aws-alb-passthrough":
            return quote(issued.pem, safe="+=/")
    return issued.escaped


def digest(issued: Issued) -> str:
    return hashlib.sha256(issued.der).hexdigest()


def sent(source: str, value: str, **others: str) -> list[tuple[str, str]]:
    headers = [(CERTIFICATE[source], value)] if value else []
    if source in SUCCESS:
        headers.append(("X-SSL-Client-Verify", others.pop("verify", SUCCESS[source])))
    return headers


@pytest.fixture
def alice(certificate_for: Callable[[str], Issued]) -> Issued:
    return certificate_for("alice")


class TestRecorded:
    """../shared/vectors/front_headers.json: the recorded headers of five real proxies."""

    @pytest.fixture
    def recorded(self) -> Any:
        return vectors.load("front_headers.json")

    @pytest.mark.parametrize("front", ["nginx", "haproxy", "caddy", "traefik", "envoy"])
    def test_recorded_certificate_is_read(self, recorded: Any, front: str) -> None:
        headers = recorded["fronts"][front]["client-a"]["headers"]
        certificate = read(front, headers)
        assert certificate == parse_pem(recorded["leaf_pem"])

    @pytest.mark.parametrize("front", ["nginx", "haproxy", "caddy", "traefik", "envoy"])
    @pytest.mark.parametrize("case", ["none", "none+spoof"])
    def test_recorded_absence_is_read(self, recorded: Any, front: str, case: str) -> None:
        assert read(front, recorded["fronts"][front][case]["headers"]) is None

    @pytest.mark.parametrize("source", sorted(CERTIFICATE))
    @pytest.mark.parametrize("front", ["nginx", "haproxy", "caddy", "traefik", "envoy"])
    def test_recorded_words_of_another_proxy_are_not_understood(self, recorded: Any, source: str, front: str) -> None:
        """Except two proxies that write the same header in the same spelling: only the operator
        knows which proxy runs.
        """
        if {source, front} <= {"haproxy", "rfc9440", "caddy"} or source == front:
            return
        with contextlib.suppress(CertificateMalformed, CertificateNotVerified):
            assert read(source, recorded["fronts"][front]["client-a"]["headers"]) is None


class TestRFC9440:
    @pytest.fixture
    def example(self) -> Any:
        return vectors.load("rfc9440.json")

    def test_rfc9440_example_is_read(self, example: Any) -> None:
        certificate = read(
            "rfc9440",
            [("Client-Cert", example["client_cert"]), ("Client-Cert-Chain", example["client_cert_chain"])],
        )
        assert certificate is not None
        assert certificate.thumbprint == example["leaf_x5t_s256"]
        assert [each.subject.rfc4514_string() for each in certificate.chain] == [
            parse_pem(pem).subject for pem in example["pem"]
        ]

    def test_rfc9440_chain_may_come_in_several_lines(self, example: Any) -> None:
        headers = [("Client-Cert", example["client_cert"])]
        headers += [("Client-Cert-Chain", part) for part in example["client_cert_chain"].split(", ")]
        certificate = read("rfc9440", headers)
        assert certificate is not None
        assert len(certificate.chain) == 3

    def test_rfc9440_chain_alone_is_refused(self, example: Any) -> None:
        with pytest.raises(CertificateMalformed):
            read("rfc9440", [("Client-Cert-Chain", example["client_cert_chain"])])

    @pytest.mark.parametrize("value", ["::", ":AAAA:", "AAAA", '"AAAA"', "?1", "1", "(:AAAA:)", ":AAAA:, ::"])
    def test_rfc9440_chain_of_something_else_is_refused(self, example: Any, value: str) -> None:
        with pytest.raises(CertificateMalformed):
            read("rfc9440", [("Client-Cert", example["client_cert"]), ("Client-Cert-Chain", value)])

    def test_rfc9440_empty_byte_sequence_is_no_certificate(self) -> None:
        with pytest.raises(CertificateMalformed):
            read("rfc9440", [("Client-Cert", "::")])

    @pytest.mark.parametrize("spoil", [":{};a=1", "{}:", ":{}", "{}", ":{}:;a", ":{}:, :{}:", ":{}\t:", '":{}:"'])
    def test_rfc9440_item_of_another_shape_is_refused(self, alice: Issued, spoil: str) -> None:
        with pytest.raises(CertificateMalformed):
            read("rfc9440", [("Client-Cert", spoil.replace("{}", alice.base64))])


@pytest.mark.parametrize("source", sorted(CERTIFICATE))
class TestEverySource:
    def test_every_source_reads_its_own_words(self, alice: Issued, source: str) -> None:
        assert read(source, sent(source, encoded(source, alice))) == parse_pem(alice.pem)

    def test_every_source_reads_nothing_in_nothing(self, source: str) -> None:
        assert read(source, []) is None

    def test_every_source_refuses_a_doubled_certificate(self, alice: Issued, ca: Authority, source: str) -> None:
        """Refused for either order of the two, and also if they are equal."""
        own, other = encoded(source, alice), encoded(source, ca.certificate_for("bob"))
        for pair in ((own, own), (own, other), (other, own)):
            with pytest.raises(CertificateMalformed):
                read(source, [*sent(source, pair[0]), (CERTIFICATE[source], pair[1])])

    def test_every_source_refuses_a_huge_certificate(self, alice: Issued, source: str) -> None:
        value = encoded(source, alice)
        huge = value + "%0A" * 8_000 if source != "envoy" else value.replace('";', "%0A" * 8_000 + '";')
        with pytest.raises(CertificateTooLarge):
            read(source, sent(source, huge))

    @pytest.mark.parametrize(
        "value", [" ", "%", "%00", "\0", "\xff\xfe", "(null)", "-", "0", "," * 100, ":", ":::", "="]
    )
    def test_every_source_refuses_what_is_no_certificate(self, source: str, value: str) -> None:
        with pytest.raises(CertificateMalformed):
            read(source, sent(source, value))

    def test_every_source_refuses_other_encodings(self, alice: Issued, source: str) -> None:
        own = encoded(source, alice)
        for text in (alice.pem, alice.escaped, alice.base64, f":{alice.base64}:", alice.der.hex(), f'"{alice.base64}"'):
            if text == own or (source.startswith(("aws", "nginx")) and text in (alice.pem, alice.escaped)):
                continue
            with pytest.raises(CertificateMalformed):
                read(source, sent(source, text))


class TestSuccess:
    """HAProxy reports success as a number. test_proxy.py has nginx's form."""

    @pytest.mark.parametrize("verify", ["", "1", "10", "18", "23", "255"])
    def test_success_is_needed_beside_a_certificate(self, alice: Issued, verify: str) -> None:
        with pytest.raises(CertificateNotVerified):
            read("haproxy", sent("haproxy", encoded("haproxy", alice), verify=verify))

    @pytest.mark.parametrize("verify", ["0,0", "00,0", "1,0", "0 ", "+0", "-0", "0.0", "SUCCESS", "\u0660", "0x0"])
    def test_success_is_zero_and_nothing_else(self, alice: Issued, verify: str) -> None:
        with pytest.raises(CertificateMalformed):
            read("haproxy", sent("haproxy", encoded("haproxy", alice), verify=verify))

    def test_success_is_no_certificate(self) -> None:
        assert read("haproxy", [("X-SSL-Client-Verify", "0")]) is None

    def test_success_is_not_what_failed(self) -> None:
        with pytest.raises(CertificateNotVerified):
            read("haproxy", [("X-SSL-Client-Verify", "10")])


class TestTraefik:
    def test_traefik_chain_is_kept(self, chained: tuple[Issued, Issued, Issued]) -> None:
        leaf, intermediate, _ = chained
        certificate = read("traefik", [(CERTIFICATE["traefik"], f"{leaf.base64},{intermediate.base64}")])
        assert certificate is not None
        assert certificate.thumbprint == parse_pem(leaf.pem).thumbprint
        assert [each.subject for each in certificate.chain] == [
            leaf.certificate.subject,
            intermediate.certificate.subject,
        ]

    def test_traefik_chain_must_hang_together(self, chained: tuple[Issued, Issued, Issued], alice: Issued) -> None:
        """The client's own header and Traefik's would be one list, in which the client's certificate comes first."""
        leaf, intermediate, _ = chained
        for others in ((alice, leaf), (alice, intermediate), (intermediate, leaf), (leaf, intermediate, alice)):
            with pytest.raises(CertificateMalformed):
                read("traefik", [(CERTIFICATE["traefik"], ",".join(each.base64 for each in others))])


class TestEnvoy:
    @pytest.fixture
    def spoilt(self, alice: Issued, ca: Authority) -> Iterator[str]:
        cert, hashed = f'Cert="{alice.escaped}"', f"Hash={digest(alice)}"
        return iter(
            [
                hashed,
                'Subject="CN=alice"',
                f"{cert};{cert}",
                f"{hashed};{hashed};{cert}",
                f"Hash={'0' * 64};{cert}",
                f"Hash={digest(ca.certificate_for('bob'))};{cert}",
                f"Hash=;{cert}",
                f"{cert};",
                f";{cert}",
                f"{cert};;{hashed}",
                f"{cert} ;{hashed}",
                f"{cert},{cert}",
                f"By=x;{hashed};{cert},By=y;{hashed};{cert}",
                cert[:-1],
                f"{cert}x",
                f"Cert={alice.pem}",
                f'{cert};Subject="CN=a\\"',
                f'{cert};Chain="{ca.certificate_for("bob").escaped}"',
                f'{cert};Chain="x"',
                'Cert=""',
                "Cert=",
                "=",
                f"{cert};Subject=CN=alice",
            ]
        )

    def test_envoy_element_is_whole_and_the_only_one(self, spoilt: Iterator[str]) -> None:
        for value in spoilt:
            with pytest.raises(CertificateMalformed):
                read("envoy", [(CERTIFICATE["envoy"], value)])

    def test_envoy_subject_may_hold_anything(self, alice: Issued) -> None:
        value = f'By=spiffe://a/b;Subject="CN=\\"x\\",Cert=y;Hash=z";{encoded("envoy", alice)}'.replace(
            ';Subject="CN=alice,O=x"', ""
        )
        certificate = read("envoy", [(CERTIFICATE["envoy"], value)])
        assert certificate is not None
        assert certificate.subject == "CN=alice"

    def test_envoy_chain_is_kept(self, chained: tuple[Issued, Issued, Issued]) -> None:
        leaf, intermediate, _ = chained
        whole = quote(leaf.pem + intermediate.pem, safe="")
        certificate = read("envoy", [(CERTIFICATE["envoy"], f'Cert="{leaf.escaped}";Chain="{whole}"')])
        assert certificate is not None
        assert len(certificate.chain) == 2


def test_every_refusal_is_one(alice: Issued) -> None:
    """A reader raises nothing else; test_mutations.py tries many more values."""
    for source in CERTIFICATE:
        for value in ("\udcff", "\ud800" * 10, "\u0130" * 100, "%" * 5_000, ":" * 5_000, '"' * 5_000):
            with pytest.raises(Refused):
                read(source, sent(source, value))
