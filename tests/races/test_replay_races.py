"""One signature in sixteen requests at once, and a signature key that is revoked under load."""

from __future__ import annotations

from collections import Counter
from multiprocessing import Event
from typing import Any

import pytest

from securecore import clock
from securecore.identity import parse_pem
from securecore.models import SeenNonce
from securecore.replay import signature_keys
from securecore.revocation import revoke_signature_key
from securecore_client.wire.content_digest import content_digest
from securecore_client.wire.message_signatures import Request
from tests.replay.signing import ED25519, public_pem, signed
from tests.support.views import effects

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.replay.urls")]

THREADS = 16
BODY = b'{"amount": 1}'


def signed_headers(path: str, key: Any, keyid: str, nonce: str) -> dict[str, str]:
    now = int(clock.now().timestamp())
    fields = {"content-digest": content_digest(BODY), "content-type": "application/json"}
    request = Request("POST", f"https://testserver{path}", fields)
    sent = dict(signed(key=key, request=request, created=now, expires=now + 60, keyid=keyid, nonce=nonce).fields)
    del sent["content-type"]  # the client adds this header itself
    return sent


def test_a_signature_is_served_to_one_of_sixteen(
    run_together: Any, mtls_client: Any, certificate_for: Any, users: Any
) -> None:
    alice = certificate_for("alice")
    clients = [mtls_client("alice") for _ in range(THREADS)]
    for path in ("/signature", "/signature/handler", "/signature/mixin"):
        for number in range(5):
            before = effects()
            nonce = f"nonce-{number}-of-{path}".replace("/", "-")
            headers = signed_headers(path, alice.key, parse_pem(alice.pem).thumbprint, nonce)

            def post(index: int, path: str = path, headers: dict[str, str] = headers) -> int:
                sent = clients[index].post(path, data=BODY, content_type="application/json", headers=headers)
                return int(sent.status_code)

            assert Counter(run_together(THREADS, post)) == {201: 1, 409: THREADS - 1}
            assert effects() == before + 1
    assert SeenNonce.objects.count() == 15


def test_nothing_that_starts_after_a_revocation_is_served(run_together: Any, mtls_client: Any, users: Any) -> None:
    for number in range(3):
        keyid = f"laptop-{number}"
        signature_keys.register(keyid=keyid, user=users["alice"], public_key=public_pem(ED25519), now=clock.now())
        clients = [mtls_client("alice") for _ in range(8)]
        returned = Event()

        def work(
            index: int, keyid: str = keyid, clients: Any = clients, returned: Any = returned
        ) -> list[tuple[bool, int]]:
            if index == 8:
                revoke_signature_key(keyid)
                returned.set()
                return []
            seen = []
            for attempt in range(12):
                late = returned.is_set()
                headers = signed_headers("/signature", ED25519, keyid, f"nonce-{index}-{attempt}-of-{keyid}")
                sent = clients[index].post("/signature", data=BODY, content_type="application/json", headers=headers)
                seen.append((late, sent.status_code))
            return seen

        seen = [each for thread in run_together(9, work) for each in thread]
        assert {status for _, status in seen} <= {201, 401}
        assert not [each for each in seen if each == (True, 201)]
        assert (True, 401) in seen
