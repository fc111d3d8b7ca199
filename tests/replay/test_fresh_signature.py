"""``@fresh(proof="signature")`` on each kind of view, and the keys that may sign."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import RequestFactory, override_settings

from securecore import clock
from securecore.errors import ContentDigestMismatch, Misuse, SignatureKeyUnknown
from securecore.http.decorators import FreshMixin, fresh
from securecore.http.freshness.fresh import _raw_body
from securecore.identity import parse_pem
from securecore.replay import signature_keys
from securecore.revocation import revoke_certificate, revoke_signature_key
from securecore_client.wire.content_digest import content_digest
from securecore_client.wire.message_signatures import Request
from tests.events.recorder import recorded
from tests.replay.signing import COVERED, ED25519, P256, public_pem, signed
from tests.support.views import effects

BODY = b'{"amount": 1}'
PLACES = ["/signature", "/signature/handler", "/signature/dispatch", "/signature/mixin", "/signature/viewset"]
pytestmark = [pytest.mark.urls("tests.replay.urls"), pytest.mark.django_db(transaction=True)]
Send = Callable[..., Any]


@pytest.fixture
def send(mtls_client: Any, ca: Any) -> Send:
    """`send("/signature")` posts BODY with a certificate and a signature of its key; other arguments change the
    request.
    """

    def send(
        path: str,
        *,
        name: str | None = "alice",
        key: Any = None,
        body: bytes = BODY,
        fields: dict[str, str] | None = None,
        covered: Any = COVERED,
        sent: dict[str, str] | None = None,
        **parameters: Any,
    ) -> Any:
        issued = ca.certificate_for(name or "alice")
        now = int(clock.now().timestamp())
        described = {"created": now, "expires": now + 60, "keyid": parse_pem(issued.pem).thumbprint, **parameters}
        present = {"content-digest": content_digest(body), "content-type": "application/json", **(fields or {})}
        request = signed(
            covered,
            key=key or issued.key,
            request=Request("POST", f"https://testserver{path}", present),
            **described,
        )
        client = mtls_client(name, raise_request_exception=False)
        headers = {**request.fields, **(sent or {})}
        return client.post(path, data=body, content_type=headers.pop("content-type"), headers=headers)

    return send


@pytest.fixture(params=[False, True], ids=["plain", "atomic-requests"])
def atomic_requests(request: Any) -> Iterator[bool]:
    before = connection.settings_dict["ATOMIC_REQUESTS"]
    connection.settings_dict["ATOMIC_REQUESTS"] = request.param
    yield request.param
    connection.settings_dict["ATOMIC_REQUESTS"] = before


def answer(response: Any) -> tuple[int, str | None]:
    return response.status_code, response.json().get("code")


@pytest.mark.parametrize("path", PLACES)
class TestEveryPlace:
    def test_every_place_serves_a_request_once(self, send: Send, path: str) -> None:
        assert send(path).status_code == 201
        assert answer(send(path)) == (409, "nonce-reused")
        assert effects() == 1

    def test_every_place_serves_another_nonce(self, send: Send, path: str) -> None:
        assert send(path).status_code == 201
        assert send(path, nonce="another-of-very-many").status_code == 201

    @pytest.mark.parametrize(
        ("how", "status", "code"),
        [
            ({"sent": {"signature": ""}}, 400, "signature-missing"),
            ({"sent": {"signature-input": "sig"}}, 400, "signature-malformed"),
            ({"covered": COVERED[1:]}, 400, "signature-incomplete"),
            ({"created": 1}, 401, "signature-stale"),
            ({"keyid": "nobody's"}, 401, "signature-key-unknown"),
            ({"key": ED25519}, 401, "signature-invalid"),
            ({"sent": {"idempotency-key": "added-later"}}, 400, "signature-incomplete"),
            ({"fields": {"content-digest": content_digest(b"another body")}}, 400, "content-digest-mismatch"),
        ],
    )
    def test_every_place_says_what_is_wrong(
        self, send: Send, path: str, how: dict[str, Any], status: int, code: str
    ) -> None:
        response = send(path, **how)
        assert answer(response) == (status, code)
        assert response["Content-Type"] == "application/problem+json"
        assert effects() == 0


@pytest.mark.parametrize("path", ["/signature", "/signature/dispatch", "/signature/mixin", "/signature/viewset"])
@pytest.mark.parametrize("outcome", ["refused", "denied", "broken"])
def test_keeps_the_nonce_burnt_when_the_view_fails(send: Send, path: str, outcome: str, atomic_requests: bool) -> None:
    failed = send(f"{path}?outcome={outcome}")
    assert failed.status_code == {"refused": 422, "denied": 403, "broken": 500}[outcome]
    # The promise of ATOMIC_REQUESTS still holds: the effect of a failed request rolls back.
    assert effects() == (0 if atomic_requests else 1)
    assert send(path).status_code == 409


def test_asks_for_what_it_needs(send: Send) -> None:
    """RFC 9421 section 5.1."""
    missing = send("/signature", sent={"signature": ""})
    assert missing["Accept-Signature"] == (
        'sig=("@method" "@target-uri" "@authority" "content-digest" "content-type");created;expires'
    )
    more = send("/signature", sent={"signature": "", "content-encoding": "gzip", "idempotency-key": "k"})
    assert '"content-type" "content-encoding" "idempotency-key")' in more["Accept-Signature"]
    assert "Accept-Signature" not in send("/signature", created=1)


def test_signs_the_path_and_query_as_they_are_on_the_wire(send: Send) -> None:
    assert send("/signature/caf%C3%A9%20%25?a=1&b=%2F").status_code == 201


class TestMixin:
    def test_mixin_leaves_safe_methods_alone(self, mtls_client: Any) -> None:
        assert mtls_client("alice").get("/signature/mixin").status_code == 200

    def test_mixin_claims_nothing_for_who_may_not_come_in(self, send: Send, mtls_client: Any) -> None:
        assert send("/signature/mixin", name=None).status_code == 401
        headers = {"X-Request-Timestamp": str(int(clock.now().timestamp())), "X-Request-Nonce": "one-of-very-many"}
        assert mtls_client(None).post("/nonce/mixin", headers=headers).status_code == 401
        assert mtls_client("alice").post("/nonce/mixin", headers=headers).status_code == 201
        assert mtls_client("alice").post("/nonce/mixin", headers=headers).status_code == 409

    def test_mixin_teaches_its_words(self) -> None:
        with pytest.raises(Misuse, match="'dpop'"):
            type("Wrong", (FreshMixin,), {"freshness": "jwt"})
        with pytest.raises(Misuse, match="'signature'"):
            fresh(proof="sig")


@pytest.mark.parametrize("url", ["/read", "/signature", "/nonce/mixin"])
def test_early_data_is_never_fresh(mtls_client: Any, url: str) -> None:
    """RFC 8470 section 5.1: also where the method is safe."""
    client = mtls_client("alice")
    response = (client.get if url == "/read" else client.post)(url, headers={"Early-Data": "1"})
    assert answer(response) == (425, "early-data")


class TestRegisteredKeys:
    @pytest.fixture
    def keyid(self, enrolled: Any) -> str:
        signature_keys.register(
            keyid="alice-laptop", user=enrolled("alice"), public_key=public_pem(ED25519), now=clock.now()
        )
        return "alice-laptop"

    @pytest.mark.parametrize("path", PLACES)
    def test_registered_keys_signs_for_its_user(self, send: Send, keyid: str, path: str) -> None:
        assert send(path, keyid=keyid, key=ED25519).status_code == 201
        assert answer(send(path, keyid=keyid, key=ED25519)) == (409, "nonce-reused")

    @pytest.mark.parametrize("path", PLACES)
    def test_registered_keys_signs_for_nobody_else(self, send: Send, keyid: str, path: str) -> None:
        """RFC 9421 section 7.3.3: a good signature of another party does not count."""
        assert answer(send(path, name="bob", keyid=keyid, key=ED25519)) == (401, "signature-key-unknown")

    def test_registered_keys_is_dead_when_its_revocation_returned(self, send: Send, keyid: str) -> None:
        with recorded() as events:
            assert revoke_signature_key(keyid)
            assert not revoke_signature_key(keyid)
        assert [event.name for event in events] == ["securecore.replay.signature-key-revoked"]
        assert answer(send("/signature", keyid=keyid, key=ED25519)) == (401, "signature-key-unknown")

    def test_registered_keys_is_dead_with_its_user(self, send: Send, keyid: str, users: Any) -> None:
        User.objects.filter(username="alice").update(is_active=False)
        assert send("/signature", keyid=keyid, key=ED25519).status_code == 401
        with pytest.raises(SignatureKeyUnknown):  # for every caller
            signature_keys.find(keyid)
        User.objects.filter(username="alice").delete()
        assert send("/signature", keyid=keyid, key=ED25519).status_code == 401

    def test_registered_keys_needs_a_caller_who_is_known(self, send: Send, keyid: str) -> None:
        assert answer(send("/signature", name=None, keyid=keyid, key=ED25519)) == (401, "authentication-required")

    def test_registered_keys_a_name_is_given_once(self, keyid: str, users: Any) -> None:
        revoke_signature_key(keyid)
        with pytest.raises(Misuse, match="another keyid"):
            signature_keys.register(keyid=keyid, user=users["bob"], public_key=public_pem(P256), now=clock.now())

    @pytest.mark.parametrize("pem", ["", "junk", "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----"])
    def test_registered_keys_junk_is_no_key(self, users: Any, pem: str) -> None:
        with pytest.raises(Misuse, match="no public key"):
            signature_keys.register(keyid="x", user=users["bob"], public_key=pem, now=clock.now())


class TestCertificateKey:
    def test_certificate_key_another_s_certificate_signs_nothing(self, send: Send, ca: Any) -> None:
        bob = ca.certificate_for("bob")
        keyid = parse_pem(bob.pem).thumbprint
        assert answer(send("/signature", key=bob.key, keyid=keyid)) == (401, "signature-key-unknown")

    def test_certificate_key_is_revoked_with_the_certificate(self, send: Send, ca: Any) -> None:
        assert send("/signature").status_code == 201
        revoke_certificate(thumbprint=parse_pem(ca.certificate_for("alice").pem).thumbprint)
        assert answer(send("/signature", nonce="another-of-very-many")) == (403, "certificate-revoked")


def test_the_window_is_the_setting_of_the_others(send: Send) -> None:
    now = int(clock.now().timestamp())
    with override_settings(SECURECORE={"TRUSTED_PROXIES": ["unix:"], "REPLAY_WINDOW": 5}):
        assert answer(send("/signature", created=now - 8)) == (401, "signature-stale")
        assert send("/signature", created=now - 2).status_code == 201


def test_a_form_whose_bytes_are_gone_is_refused() -> None:
    """Multipart is parsed as it arrives. If another reader consumed it first, no bytes are left to compare."""
    request = RequestFactory().post("/signature", {"a": "1"})
    assert request.POST["a"] == "1"
    with pytest.raises(ContentDigestMismatch, match="read before"):
        _raw_body(request)
