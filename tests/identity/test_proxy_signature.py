"""The proxy's signature over its certificate headers (RFC 9440 section 4, RFC 9421 appendix B.3)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import http_sf
import pytest
from django.contrib.auth.models import User

from securecore import clock
from securecore.events import HeaderForged, RequestRefused
from securecore.identity import parse_pem
from securecore.testing import Authority, FakeClock, Issued
from securecore_client.wire.content_digest import content_digest
from securecore_client.wire.message_signatures import Covered, Request, sign, signature_base
from tests.events.recorder import of_kind, recorded
from tests.identity.test_mutations import mutations
from tests.identity.test_proxy import refusal_of
from tests.identity.test_sources import CERTIFICATE, SUCCESS, encoded
from tests.replay.rfc9421 import ECC_P256
from tests.replay.signing import ABSENT, BODY, ED25519, P256, RSA, public_pem, signed
from tests.support import vectors
from tests.support.nginx import NginxClient

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.urls")]

URL = "https://testserver/seen"
#: The components that appendix B.3 covers.
COVERED = ("@path", "@query", "@method", "@authority", "client-cert")
REFUSED = (403, "proxy-signature-refused")
Fields = dict[str, str]


@pytest.fixture(autouse=True)
def signing(settings: Any) -> None:
    keys = [{"keyid": "edge-1", "public_key": public_pem(P256)}, {"keyid": "edge-2", "public_key": public_pem(ED25519)}]
    more = {"CERTIFICATE_SOURCE": "rfc9440", "PROXY_SIGNATURE_KEYS": keys}
    settings.SECURECORE = {**settings.SECURECORE, **more}


@pytest.fixture
def alice(users: dict[str, User], certificate_for: Callable[[str], Issued]) -> Issued:
    return certificate_for("alice")


def client_cert(issued: Issued) -> Fields:
    return {"client-cert": f":{issued.base64}:"}


def by_proxy(
    fields: Fields,
    covered: tuple[Any, ...] = COVERED,
    *,
    key: Any = P256,
    label: str = "ttrp",
    method: str = "GET",
    url: str = URL,
    **parameters: Any,
) -> Fields:
    """Return ``fields`` with the proxy's signature over them; ``parameters`` replace or add members."""
    now = int(clock.now().timestamp())
    merged = {"created": now, "keyid": "edge-1", **parameters}
    components = tuple(name if isinstance(name, tuple) else (name, {}) for name in covered)
    described = Covered(label, components, {name: value for name, value in merged.items() if value is not ABSENT})
    signature = sign(signature_base(described, Request(method, url, fields)), key)
    return {**fields, "signature-input": str(described), "signature": http_sf.ser({label: signature})}


def joined(first: Fields, second: Fields) -> Fields:
    """Return headers as gunicorn hands over a header that came in two lines."""
    both = {name: f"{first[name]},{second[name]}" for name in ("signature-input", "signature")}
    return {**first, **second, **both}


def get(fields: Fields, path: str = "/seen", *, method: str = "get", peer: str = "", **more: Any) -> Any:
    client = NginxClient()
    client.defaults = {"REMOTE_ADDR": peer}
    return getattr(client, method)(path, headers=fields, **more)


def reason_of(fields: Fields, **how: Any) -> str:
    """Return the reason of the refusal, which only the operator reads."""
    with recorded() as events:
        assert refusal_of(get(fields, **how)) == REFUSED
    assert [event.headers[0] for event in of_kind(events, HeaderForged)] == ["HTTP_CLIENT_CERT"]
    return str(of_kind(events, RequestRefused)[0].reason)


class TestAppendixB3:
    def test_appendix_b3_is_verified(self, settings: Any, fake_clock: FakeClock) -> None:
        """The example's certificate expired three months before. A refusal for its date proves that the signature was
        accepted.
        """
        key = {"keyid": "test-key-ecc-p256", "public_key": public_pem(Key(ECC_P256))}
        settings.SECURECORE = {**settings.SECURECORE, "PROXY_SIGNATURE_KEYS": [key]}
        settings.ALLOWED_HOSTS = ["service.internal.example"]
        fake_clock.now = dt.datetime.fromtimestamp(1618884474, dt.UTC)
        value = "xVMHVpawaAC/0SbHrKRs9i8I3eOs5RtTMGCWXm/9nvZzoHsIg6Mce9315T6xoklyy0yzhD9ah4JHRwMLOgmizw=="
        fields = {
            "host": "service.internal.example",
            "client-cert": vectors.load("rfc9440.json")["client_cert"],
            "signature-input": 'ttrp=("@path" "@query" "@method" "@authority" "client-cert")'
            ';created=1618884473;keyid="test-key-ecc-p256"',
            "signature": f"ttrp=:{value}:",
        }
        post: Any = {"method": "post", "data": b'{"hello": "world"}', "content_type": "application/json"}
        path = "/foo?param=Value&Pet=dog"
        assert refusal_of(get(fields, path, **post)) == (403, "certificate-expired")
        assert refusal_of(get(fields, "/foo?param=Value&Pet=cat", **post)) == REFUSED
        assert refusal_of(get({**fields, "signature": f"ttrp=:y{value[1:]}:"}, path, **post)) == REFUSED


class Key:
    """A public key in the place of a key pair."""

    def __init__(self, public: Any) -> None:
        self.public_key = lambda: public


class TestGood:
    @pytest.mark.parametrize(
        "covered",
        [
            COVERED,
            ("@method", "@target-uri", "client-cert"),
            ("client-cert", "@request-target", "@authority", "@method", "@scheme"),
        ],
    )
    def test_good_is_believed(self, alice: Issued, covered: tuple[str, ...]) -> None:
        seen = get(by_proxy(client_cert(alice), covered)).json()
        assert (seen["user"], seen["thumbprint"]) == ("alice", parse_pem(alice.pem).thumbprint)

    def test_good_may_say_more(self, alice: Issued) -> None:
        now = int(clock.now().timestamp())
        more: Any = {"expires": now + 5, "nonce": "x", "tag": "mtls", "alg": "ecdsa-p256-sha256"}
        assert get(by_proxy(client_cert(alice), **more)).json()["user"] == "alice"

    def test_good_may_be_by_any_key_during_a_rotation(self, alice: Issued) -> None:
        assert get(by_proxy(client_cert(alice), key=ED25519, keyid="edge-2")).json()["user"] == "alice"

    def test_good_is_not_needed_where_nobody_is_claimed(self) -> None:
        for fields in ({}, {"client-cert": ""}):
            assert get(fields).json()["thumbprint"] is None

    def test_good_is_about_one_request_and_may_come_again_with_that(self, alice: Issued) -> None:
        """Note [Why no nonce]: a request that must not come twice is the job of @fresh."""
        fields = by_proxy(client_cert(alice), nonce="the same, twice")
        for _ in range(2):
            assert get(fields).json()["user"] == "alice"
        for other in ({"path": "/seen?a=1"}, {"path": "/protected"}, {"method": "post"}):
            assert refusal_of(get(fields, **other)) == REFUSED

    def test_good_covers_the_chain_too(self, chained: tuple[Issued, Issued, Issued]) -> None:
        leaf, intermediate, _ = chained
        fields = client_cert(leaf) | {"client-cert-chain": f":{intermediate.base64}:"}
        assert get(by_proxy(fields, (*COVERED, "client-cert-chain"))).json()["thumbprint"]
        assert "must cover client-cert-chain" in reason_of(by_proxy(fields))
        without = by_proxy(fields, (*COVERED, "client-cert-chain"))
        del without["client-cert-chain"]
        assert "no such field" in reason_of(without)


class TestRefused:
    def test_refused_without_a_signature(self, alice: Issued) -> None:
        assert "one readable" in reason_of(client_cert(alice))
        for missing in ("signature", "signature-input"):
            assert "one readable" in reason_of({**by_proxy(client_cert(alice)), missing: ""})

    @pytest.mark.parametrize("left_out", COVERED)
    def test_refused_that_does_not_cover_it_all(self, alice: Issued, left_out: str) -> None:
        covered = tuple(name for name in COVERED if name != left_out)
        assert "must cover" in reason_of(by_proxy(client_cert(alice), covered))

    def test_refused_that_covers_a_part_of_the_query(self, alice: Issued) -> None:
        part = ("@path", ("@query-param", {"name": "a"}), "@method", "@authority", "client-cert")
        fields = by_proxy(client_cert(alice), part, url=f"{URL}?a=1&b=2")
        assert "must cover" in reason_of(fields, path="/seen?a=1&b=2")

    @pytest.mark.parametrize(
        ("parameters", "reason"),
        [
            ({"created": ABSENT}, "no parameter created"),
            ({"created": -75}, "within 60 seconds"),
            ({"created": +15}, "within 60 seconds"),
            ({"created": -30, "expires": -15}, "expired"),
            ({"created": 0, "expires": -1}, "expire after"),
        ],
    )
    def test_refused_outside_its_time(self, alice: Issued, parameters: dict[str, Any], reason: str) -> None:
        now = int(clock.now().timestamp())
        dates = {name: value if value is ABSENT else now + value for name, value in parameters.items()}
        assert reason in reason_of(by_proxy(client_cert(alice), **dates))

    @pytest.mark.parametrize("created", [-55, +5])
    def test_refused_not_by_clocks_that_differ_a_little(self, alice: Issued, created: int) -> None:
        fields = by_proxy(client_cert(alice), created=int(clock.now().timestamp()) + created)
        assert get(fields).json()["user"] == "alice"

    @pytest.mark.parametrize(
        "how",
        [
            {"key": ED25519},
            {"key": RSA},
            {"keyid": "edge-2"},
            {"keyid": "edge-3"},
            {"keyid": ABSENT},
            {"keyid": b"edge-1"},
            {"keyid": http_sf.Token("edge-1")},
            {"alg": "ed25519"},
            {"unknown": "parameter"},
            {"created": True},
        ],
    )
    def test_refused_by_another_key_or_in_other_words(self, alice: Issued, how: dict[str, Any]) -> None:
        assert reason_of(by_proxy(client_cert(alice), **how))

    def test_refused_with_another_certificate(self, alice: Issued, ca: Authority) -> None:
        fields = by_proxy(client_cert(ca.certificate_for("bob"))) | client_cert(alice)
        assert "for another request" in reason_of(fields)

    @pytest.mark.parametrize(
        "other",
        [{"method": "put"}, {"path": "/seen/"}, {"path": "/seen?a=1"}, {"path": "/protected"}],
    )
    def test_refused_with_another_method_or_url(self, alice: Issued, other: dict[str, str]) -> None:
        assert "for another request" in reason_of(by_proxy(client_cert(alice)), **other)

    def test_refused_for_another_host(self, alice: Issued) -> None:
        assert reason_of(by_proxy(client_cert(alice)) | {"host": "localhost"})

    @pytest.mark.parametrize(
        "value", ["ttrp", "ttrp=1", "ttrp=()", "ttrp=:AA==:", "=", "\xff", "ttrp=()" + " " * 4_096]
    )
    def test_refused_that_cannot_be_read(self, alice: Issued, value: str) -> None:
        assert reason_of(by_proxy(client_cert(alice)) | {"signature-input": value})
        assert get({"signature-input": value, "signature": value}).status_code == 200

    @pytest.mark.parametrize("name", ["client-cert", "signature-input", "signature"])
    def test_refused_in_no_broken_words(self, alice: Issued, name: str) -> None:
        """A broken header gives a refusal, or the same signed value in another spelling, and never
        another exception.
        """
        good = by_proxy(client_cert(alice))
        for broken in mutations(good[name].encode(), 150):
            if broken.strip() == good[name].encode():
                continue
            answer = get({**good, name: broken.decode("latin-1")})
            assert answer.status_code in (200, 400, 403)
            if answer.status_code == 200 and answer.json()["user"] is not None:
                assert (answer.json()["user"], name) != ("alice", "client-cert")


class TestPeer:
    def test_peer_must_be_trusted_all_the_same(self, alice: Issued) -> None:
        for peer in ("203.0.113.9", "127.0.0.1", "10.1.2.3"):
            assert get(by_proxy(client_cert(alice)), peer=peer).json()["user"] is None

    def test_peer_needs_no_secret_over_tcp_where_none_is_set(self, alice: Issued, settings: Any) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "PROXY_SECRETS": [], "TRUSTED_PROXIES": ["10.0.0.0/8"]}
        fields = by_proxy(client_cert(alice))
        assert get(fields, peer="10.1.2.3").json()["user"] == "alice"
        assert reason_of(client_cert(alice), peer="10.1.2.3")
        for peer in ("203.0.113.9", ""):
            assert get(fields, peer=peer).json()["user"] is None


@pytest.mark.parametrize("source", sorted(CERTIFICATE))
def test_covers_every_header_that_the_source_reads(
    chained: tuple[Issued, Issued, Issued], settings: Any, tmp_path: Path, source: str
) -> None:
    leaf, intermediate, root = chained
    settings.SECURECORE = {**settings.SECURECORE, "CERTIFICATE_SOURCE": source}
    if source == "aws-alb-passthrough":
        (tmp_path / "authorities.pem").write_text(root.pem + intermediate.pem)
        settings.SECURECORE |= {"CERTIFICATE_AUTHORITIES": str(tmp_path / "authorities.pem")}
    fields = {CERTIFICATE[source].lower(): encoded(source, leaf)}
    if source in SUCCESS:
        fields["x-ssl-client-verify"] = SUCCESS[source]
    good = by_proxy(fields, ("@method", "@target-uri", *fields))
    assert get(good).json()["thumbprint"] == parse_pem(leaf.pem).thumbprint
    for name in fields:
        others = tuple(other for other in fields if other != name)
        assert refusal_of(get(by_proxy(fields, ("@method", "@target-uri", *others)))) == REFUSED
    assert refusal_of(get(fields)) == REFUSED


@pytest.mark.urls("tests.replay.urls")
@pytest.mark.django_db(transaction=True)
class TestBesideTheClientsOwn:
    """A client that signs its requests sends the same two fields, and may choose any label."""

    URL = "https://testserver/signature"
    COVERED = ("@method", "@target-uri", "@authority", "content-digest", "content-type")

    def by_client(self, issued: Issued, covered: Any = COVERED, key: Any = None, **parameters: Any) -> Fields:
        now = int(clock.now().timestamp())
        described = {"created": now, "expires": now + 60, "keyid": parse_pem(issued.pem).thumbprint, **parameters}
        fields = {"content-digest": content_digest(BODY), "content-type": "application/json", **client_cert(issued)}
        request = Request("POST", self.URL, fields)
        return dict(signed(covered, key=key or issued.key, request=request, **described).fields)

    def by_both(self, issued: Issued, *, label: str = "ttrp", **parameters: Any) -> Fields:
        theirs = self.by_client(issued, **parameters)
        ours = by_proxy(client_cert(issued), label=label, method="POST", url=self.URL)
        return joined(theirs, ours)

    def post(self, fields: Fields) -> tuple[int, str | None]:
        fields = {name: value for name, value in fields.items() if name != "content-type"}
        answer = get(fields, "/signature", method="post", data=BODY, content_type="application/json")
        return answer.status_code, answer.json().get("code")

    def test_beside_the_clients_own_each_is_found(self, alice: Issued) -> None:
        assert self.post(self.by_both(alice))[0] == 201
        assert self.post(self.by_both(alice)) == (409, "nonce-reused")

    def test_beside_the_clients_own_the_label_says_nothing(self, alice: Issued) -> None:
        """The client's signature has the label "sig", which the proxy may use as well, and the other way round."""
        renamed = {
            name: value.replace("sig=", "ttrp=") for name, value in self.by_client(alice).items() if "signature" in name
        }
        ours = by_proxy(client_cert(alice), label="sig", method="POST", url=self.URL)
        assert self.post(joined({**self.by_client(alice), **renamed}, ours))[0] == 201

    def test_beside_the_clients_own_one_label_for_both_is_refused(self, alice: Issued) -> None:
        assert self.post(self.by_both(alice, label="sig")) == REFUSED

    def test_beside_the_clients_own_the_clients_is_never_the_proxys(self, alice: Issued, ca: Authority) -> None:
        """A client's signature never counts as the proxy's, for any components and any key."""
        covered = (*self.COVERED, "client-cert")
        assert self.post(self.by_client(alice, covered)) == REFUSED
        assert self.post(self.by_client(alice, covered, keyid="edge-1")) == REFUSED
        ours, pretended = (
            by_proxy(client_cert(alice), method="POST", url=self.URL),
            self.by_client(alice, keyid="edge-1"),
        )
        for both in (joined(ours, pretended), joined(pretended, ours)):
            assert self.post({**both, "content-digest": content_digest(BODY)}) == REFUSED
        stolen = self.by_client(ca.certificate_for("bob"), covered, keyid="edge-1") | client_cert(alice)
        assert self.post(stolen) == REFUSED

    def test_beside_the_clients_own_the_proxys_is_never_the_clients(self, alice: Issued) -> None:
        """The proxy's signature never counts as the client's, even if it covers everything that a
        client's must cover.
        """
        now = int(clock.now().timestamp())
        fields = client_cert(alice) | {"content-digest": content_digest(BODY), "content-type": "application/json"}
        all_of_it: Any = {"expires": now + 60, "nonce": "one-of-very-many"}
        covered = (*self.COVERED, "client-cert")
        ours = by_proxy(fields, covered, method="POST", url=self.URL, **all_of_it)
        assert self.post(ours) == (400, "signature-missing")
