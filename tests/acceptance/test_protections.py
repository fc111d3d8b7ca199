"""The five protections, end to end: real certificates, real nginx, several workers, one database."""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

Open = Callable[..., httpx.Client]
THREADS = 16


def at_once(call: Callable[[], httpx.Response]) -> list[httpx.Response]:
    with ThreadPoolExecutor(THREADS) as pool:
        return [each.result() for each in [pool.submit(call) for _ in range(THREADS)]]


def memo() -> str:
    return f"memo-{secrets.token_hex(8)}"


class TestIdempotency:
    def test_idempotency_one_key_has_one_effect_and_sixteen_equal_answers(self, open_client: Open) -> None:
        alice = open_client("alice")
        for _ in range(5):
            order: dict[str, Any] = {"to": "bob", "amount": 5, "memo": memo()}
            headers = {"Idempotency-Key": secrets.token_urlsafe()}
            answers = at_once(lambda o=order, h=headers: alice.post("/api/transfers", json=o, headers=h))  # type: ignore[misc]
            assert Counter(answer.status_code for answer in answers) == {201: THREADS}
            assert len({answer.content for answer in answers}) == 1
            assert alice.get("/api/transfers", params={"memo": order["memo"]}).json()["count"] == 1

    def test_idempotency_another_caller_cannot_read_the_answer(self, open_client: Open) -> None:
        order, headers = {"to": "carol", "amount": 5, "memo": memo()}, {"Idempotency-Key": secrets.token_urlsafe()}
        answers = [open_client(name).post("/api/transfers", json=order, headers=headers) for name in ("alice", "bob")]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert answers[0].json()["id"] != answers[1].json()["id"]


class TestFreshness:
    def headers(self) -> dict[str, str]:
        return {"X-Request-Timestamp": str(int(time.time())), "X-Request-Nonce": secrets.token_urlsafe()}

    def test_freshness_one_nonce_has_one_winner(self, open_client: Open) -> None:
        alice, headers = open_client("alice"), self.headers()
        answers = at_once(lambda: alice.post("/api/payouts", json={"to": "x", "amount": 1}, headers=headers))
        assert Counter(answer.status_code for answer in answers) == {201: 1, 409: THREADS - 1}

    @pytest.mark.parametrize(
        ("change", "status"),
        [
            ({"X-Request-Timestamp": ""}, 400),
            ({"X-Request-Timestamp": "now"}, 400),
            ({"X-Request-Timestamp": "1"}, 401),
            ({"X-Request-Nonce": ""}, 400),
        ],
    )
    def test_freshness_is_demanded(self, open_client: Open, change: dict[str, str], status: int) -> None:
        headers = self.headers() | change
        answer = open_client("alice").post("/api/payouts", json={"to": "x", "amount": 1}, headers=headers)
        assert answer.status_code == status


class TestSession:
    def test_session_is_new_at_every_login_and_bound_to_its_certificate(self, open_client: Open) -> None:
        alice, bob = open_client("alice"), open_client("bob")
        planted = "a" * 43
        ids: list[str] = []
        for _ in range(3):
            # A jar would drop the planted cookie, an attacker's client would not.
            presented = {"Cookie": f"__Host-sessionid={planted}"} if not ids else {}
            answer = alice.post("/auth/login", json={}, headers=presented)
            assert answer.status_code == 200
            cookie = answer.headers["Set-Cookie"]
            assert all(part in cookie for part in ("__Host-sessionid=", "Secure", "HttpOnly", "Path=/", "SameSite=Lax"))
            assert "no-store" in answer.headers["Cache-Control"]
            ids.append(cookie.split("=", 1)[1].split(";")[0])
        assert len({planted, *ids}) == 4
        assert alice.get("/api/whoami").json()["session"] is True

        stolen = {"Cookie": f"__Host-sessionid={ids[-1]}"}
        thief = bob.get("/api/whoami", headers=stolen).json()
        assert (thief["user"], thief["session"]) == ("bob", False)
        assert open_client().get("/api/whoami", headers=stolen).status_code == 401
        old = open_client("alice").get("/api/whoami", headers={"Cookie": f"__Host-sessionid={ids[0]}"})
        assert old.json()["session"] is False
        assert alice.get("/api/whoami").json()["session"] is True

    def test_session_can_be_listed_and_ended(self, open_client: Open) -> None:
        carol, bob = open_client("carol"), open_client("bob")
        carol.post("/auth/login", json={})
        listed = carol.get("/auth/sessions").json()["results"]
        assert bob.delete(f"/auth/sessions/{listed[0]['id']}").status_code == 404
        for session in listed:
            assert carol.delete(f"/auth/sessions/{session['id']}").status_code == 204
        assert carol.get("/api/whoami").json()["session"] is False

    def test_session_ends_at_logout(self, open_client: Open) -> None:
        bob = open_client("bob")
        cookie = bob.post("/auth/login", json={}).headers["Set-Cookie"].split(";")[0]
        assert bob.post("/auth/logout").status_code == 204
        assert open_client("bob").get("/api/whoami", headers={"Cookie": cookie}).json()["session"] is False


class TestToken:
    def token(self, client: httpx.Client, **form: str) -> str:
        form = {"grant_type": "urn:securecore:grant-type:certificate"} | form
        answer = client.post("/oauth/token", data=form)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def test_token_opens_what_the_certificate_alone_does_not(self, open_client: Open) -> None:
        alice = open_client("alice")
        assert alice.get("/api/reports").status_code == 401
        bearer = {"Authorization": f"Bearer {self.token(alice)}"}
        assert alice.get("/api/reports", headers=bearer).status_code == 200
        assert alice.get("/api/whoami", headers=bearer).json()["token"]

    def test_token_is_worth_nothing_under_another_certificate(self, open_client: Open) -> None:
        bearer = {"Authorization": f"Bearer {self.token(open_client('alice'))}"}
        for thief in (open_client("bob"), open_client()):
            answer = thief.get("/api/reports", headers=bearer)
            assert (answer.status_code, answer.json()["code"]) == (401, "invalid-token")
            assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]

    def test_token_is_refused_by_every_worker_once_it_was_revoked(self, open_client: Open) -> None:
        alice = open_client("alice")
        token = self.token(alice)
        bearer = {"Authorization": f"Bearer {token}"}
        assert {answer.status_code for answer in at_once(lambda: alice.get("/api/reports", headers=bearer))} == {200}
        assert alice.post("/oauth/revoke", data={"token": token}).status_code == 200
        assert {answer.status_code for answer in at_once(lambda: alice.get("/api/reports", headers=bearer))} == {401}

    def test_token_in_the_url_is_refused(self, open_client: Open) -> None:
        alice = open_client("alice")
        answer = alice.get("/api/reports", params={"access_token": self.token(alice)})
        assert (answer.status_code, answer.json()["code"]) == (400, "token-in-url")

    def test_token_of_a_service_names_the_service(self, open_client: Open) -> None:
        service = open_client("service")
        token = self.token(service, grant_type="client_credentials", client_id="service")
        answer = service.get("/api/whoami", headers={"Authorization": f"Bearer {token}"})
        assert answer.json()["user"] == "service"
        wrong = service.post("/oauth/token", data={"grant_type": "client_credentials", "client_id": "alice"})
        assert (wrong.status_code, wrong.json()) == (401, {"error": "invalid_client"})


def test_a_revoked_grant_is_never_outrun(open_client: Open) -> None:
    bob, carol = open_client("bob"), open_client("carol")
    mark = memo()
    grant = {"principal": "bob", "permission": "transfers.create"}

    def transfer() -> httpx.Response:
        headers = {"Idempotency-Key": secrets.token_urlsafe()}
        return bob.post("/api/transfers", json={"to": "alice", "amount": 1, "memo": mark}, headers=headers)

    def transfers() -> int:
        return int(bob.get("/api/transfers", params={"memo": mark}).json()["count"])

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            running = [pool.submit(transfer) for _ in range(200)]
            while not transfers():
                time.sleep(0.01)
            assert carol.post("/api/admin/grants/revoke", json=grant).status_code == 200
            at_the_return = transfers()
            answers = Counter(each.result().status_code for each in running)
        assert transfers() == at_the_return == answers[201]
        assert answers[403] > 0
    finally:
        assert carol.post("/api/admin/grants/grant", json=grant).status_code == 200


def test_a_cross_site_request_of_a_browser_is_refused(open_client: Open) -> None:
    alice = open_client("alice")
    answer = alice.post("/auth/login", json={}, headers={"Origin": "https://evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (403, "cross-site")
    assert alice.post("/auth/login", json={}, headers={"Origin": str(alice.base_url).rstrip("/")}).status_code == 200


def test_the_purge_runs_beside_the_service(shell: Any, open_client: Open) -> None:
    printed = shell("securecore_purge", "--dry-run")
    assert "securecore_seen_nonce" in printed
    assert "would be deleted" in printed
    assert "deleted" in shell("securecore_purge", "--batch-size", "10")
    assert open_client("alice").get("/api/whoami").status_code == 200


def test_the_tour_finds_five_open_doors_and_five_closed_ones(shell: Any, stack: Any) -> None:
    printed = shell("tour", "--url", stack.url, "--pki", str(stack.pki))
    assert printed


def test_every_refusal_is_a_problem(open_client: Open) -> None:
    alice = open_client("alice")
    answers = [
        alice.post("/api/transfers", json={"to": "bob", "amount": 1}),
        alice.post(
            "/api/transfers", content=b"{", headers={"Content-Type": "application/json", "Idempotency-Key": "a"}
        ),
        alice.post("/api/transfers", json={"to": "bob", "amount": -1}, headers={"Idempotency-Key": memo()}),
        alice.post("/api/transfers", json={"to": "bob", "amount": 10**12}, headers={"Idempotency-Key": memo()}),
        alice.post("/api/transfers", json={"to": "nobody", "amount": 1}, headers={"Idempotency-Key": memo()}),
        open_client("carol").post("/api/transfers", json={"to": "bob", "amount": 1}, headers={"Idempotency-Key": "b"}),
        alice.post("/api/admin/grants/grant", json={"principal": "alice", "permission": "x"}),
        alice.delete("/api/whoami"),
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 400, 409, 409, 403, 403, 405]
    for answer in answers:
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = json.loads(answer.content)
        assert problem["status"] == answer.status_code
        assert problem["type"] == f"urn:securecore:problem:{problem['code']}"
