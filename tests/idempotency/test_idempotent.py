from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection, transaction
from django.http import JsonResponse

from securecore import clock
from securecore.errors import Misuse
from securecore.grants import grant, principal_of, revoke
from securecore.http.decorators import idempotent, requires
from securecore.idempotency import IdempotencyRecord
from tests.support.views import effects

pytestmark = [pytest.mark.urls("tests.support.views"), pytest.mark.django_db(transaction=True)]

EVERY_VIEW = pytest.mark.parametrize("url", ["/idempotent", "/idempotent/handler"])


@EVERY_VIEW
class TestOneKey:
    def test_one_key_has_one_effect_and_equal_answers(self, post: Any, url: str) -> None:
        first, second = post(url), post(url)
        assert (first.status_code, first.content) == (second.status_code, second.content) == (201, first.content)
        assert "Idempotency-Replayed" not in first
        assert second["Idempotency-Replayed"] == "true"
        assert second["Content-Type"] == first["Content-Type"]
        assert effects() == 1

    def test_one_key_is_the_same_in_both_spellings(self, post: Any, url: str) -> None:
        assert post(url, key="k-1").content == post(url, key='"k-1"').content

    def test_one_key_is_demanded(self, post: Any, url: str) -> None:
        response = post(url, key=None)
        assert (response.status_code, response.json()["code"]) == (400, "idempotency-key-missing")
        assert effects() == 0

    def test_one_key_must_be_readable(self, post: Any, url: str) -> None:
        response = post(url, key="a,b")
        assert (response.status_code, response.json()["code"]) == (400, "idempotency-key-malformed")

    def test_one_key_stands_for_one_request(self, post: Any, url: str) -> None:
        post(url, {"memo": "one"})
        response = post(url, {"memo": "two"})
        assert (response.status_code, response.json()["code"]) == (422, "idempotency-key-reused")
        assert effects() == 1

    def test_one_key_is_each_callers_own(self, post: Any, url: str) -> None:
        assert post(url, name="alice").content != post(url, name="bob").content
        assert effects() == 2

    def test_one_key_needs_a_caller(self, post: Any, url: str) -> None:
        response = post(url, name=None)
        assert (response.status_code, response.json()["code"]) == (401, "authentication-required")
        assert effects() == 0

    def test_one_key_runs_again_when_its_record_has_expired(self, post: Any, url: str) -> None:
        first = post(url)
        IdempotencyRecord.objects.update(expires_at=clock.now() - dt.timedelta(seconds=1))
        assert post(url).content != first.content
        assert (effects(), IdempotencyRecord.objects.count()) == (2, 1)

    def test_one_key_does_not_lie_in_the_table(self, post: Any, url: str) -> None:
        post(url, key="a-key-to-look-for")
        assert "a-key-to-look-for" not in str(IdempotencyRecord.objects.values().get())


class TestScope:
    def test_scope_is_the_route_and_not_the_path(self, post: Any) -> None:
        assert post("/idempotent/handler/1").status_code == 201
        assert post("/idempotent/handler/2").status_code == 422
        assert post("/idempotent/handler").status_code == 201

    def test_scope_is_the_user_and_not_the_certificate(self, post: Any, mtls_client: Any, ca: Any, users: Any) -> None:
        """A retry after the certificate was renewed is still the same request."""
        from securecore.identity import enroll, parse_pem
        from securecore.testing import MutualTLSClient

        renewed = ca.issue("alice")
        enroll(certificate=parse_pem(renewed.pem), user=users["alice"], now=clock.now())
        first = post("/idempotent/handler")
        retry = MutualTLSClient(renewed).post(
            "/idempotent/handler", data="{}", content_type="application/json", headers={"Idempotency-Key": "k-1"}
        )
        assert retry.content == first.content
        assert effects() == 1


class TestFinalAnswers:
    @pytest.mark.parametrize(
        ("url", "body", "status"),
        [
            ("/idempotent?outcome=refused", {}, 422),
            ("/idempotent?status=404", {}, 404),
            ("/idempotent/handler", {"outcome": "refused"}, 422),
            ("/idempotent/handler", {"outcome": "invalid"}, 400),
            ("/idempotent/handler", {"status": 410}, 410),
        ],
    )
    def test_final_answers_are_what_every_repeat_gets(self, post: Any, url: str, body: Any, status: int) -> None:
        first, second = post(url, body), post(url, body)
        assert (first.status_code, second.status_code) == (status, status)
        assert first.content == second.content
        assert second["Idempotency-Replayed"] == "true"

    @pytest.mark.parametrize("body", [{"outcome": "refused"}, {"outcome": "invalid"}])
    def test_final_answers_that_were_raised_have_no_effect(self, post: Any, body: Any) -> None:
        post("/idempotent/handler", body)
        assert effects() == 0

    @pytest.mark.parametrize("outcome", ["refused", "invalid"])
    def test_final_answers_are_kept_under_atomic_requests(self, post: Any, outcome: str) -> None:
        connection.settings_dict["ATOMIC_REQUESTS"] = True
        try:
            post("/idempotent/handler", {"outcome": outcome})
            assert post("/idempotent/handler", {"outcome": outcome})["Idempotency-Replayed"] == "true"
            assert effects() == 0
        finally:
            connection.settings_dict["ATOMIC_REQUESTS"] = False

    def test_final_answers_keep_their_headers_and_lose_the_cookies(self, post: Any) -> None:
        first, second = post("/idempotent"), post("/idempotent")
        assert second["Location"] == first["Location"]
        assert "flavour" in first.cookies
        assert "flavour" not in second.cookies
        assert "Set-Cookie" not in second
        assert "oat" not in str(IdempotencyRecord.objects.values().get())


class TestOtherAnswers:
    @pytest.mark.parametrize(
        ("url", "body", "status"),
        [
            ("/idempotent?outcome=broken", {}, 500),
            ("/idempotent?outcome=denied", {}, 403),
            ("/idempotent?status=500", {}, 500),
            ("/idempotent?status=409", {}, 409),
            ("/idempotent/handler", {"outcome": "broken"}, 500),
            ("/idempotent/handler", {"outcome": "denied"}, 403),
            ("/idempotent/handler", {"outcome": "throttled"}, 429),
            ("/idempotent/handler", {"status": 503}, 503),
        ],
    )
    def test_other_answers_leave_neither_effect_nor_record(self, post: Any, url: str, body: Any, status: int) -> None:
        assert post(url, body).status_code == status
        assert effects() == 0
        assert not IdempotencyRecord.objects.exists()
        assert "Idempotency-Replayed" not in post(url, body)

    def test_other_answers_of_a_throttled_request_say_when_to_come_again(self, post: Any) -> None:
        assert post("/idempotent/handler", {"outcome": "throttled"})["Retry-After"] == "7"


class TestReplay:
    @pytest.fixture
    def alice(self, users: Any) -> str:
        principal = principal_of(users["alice"])
        grant(principal=principal, permission="things.make", now=clock.now())
        return principal

    def test_replay_passes_the_permission_again(self, post: Any, alice: str) -> None:
        assert post("/guarded/handler").status_code == 201
        revoke(principal=alice, permission="things.make", now=clock.now())
        again = post("/guarded/handler")
        assert (again.status_code, again.json()["code"]) == (403, "permission-denied")
        grant(principal=alice, permission="things.make", now=clock.now())
        assert post("/guarded/handler")["Idempotency-Replayed"] == "true"
        assert effects() == 1

    def test_replay_passes_authentication_again(self, post: Any, users: Any) -> None:
        assert post("/idempotent/handler").status_code == 201
        users["alice"].is_active = False
        users["alice"].save()
        assert post("/idempotent/handler").status_code == 403


class TestMisuse:
    def test_misuse_of_the_order_is_told_at_import(self) -> None:
        with pytest.raises(Misuse, match="outside @idempotent"):
            idempotent(requires("things.make")(lambda request: JsonResponse({})))

    def test_misuse_of_a_stream(self, mtls_client: Any) -> None:
        with pytest.raises(Misuse, match="streaming"):
            mtls_client("alice").post("/idempotent/stream", headers={"Idempotency-Key": "k"})
        assert effects() == 0

    def test_misuse_of_a_body_that_is_too_large_to_store(self, mtls_client: Any) -> None:
        with pytest.raises(Misuse, match="max_body"):
            mtls_client("alice").post("/idempotent/large", headers={"Idempotency-Key": "k"})
        assert effects() == 0

    def test_misuse_inside_a_savepoint(self, rf: Any, users: Any) -> None:
        request = rf.post("/idempotent", headers={"Idempotency-Key": "k"})
        request.user, request.client_certificate, request.resolver_match = users["alice"], None, None
        with pytest.raises(Misuse, match="savepoint"), transaction.atomic(), transaction.atomic():
            idempotent(lambda request: None)(request)

    def test_misuse_on_something_that_is_no_view(self) -> None:
        with pytest.raises(Misuse, match="method_decorator"):
            idempotent(lambda: None)()


def test_a_crash_before_the_commit_leaves_nothing(post: Any, monkeypatch: Any) -> None:
    """The process ends after it wrote the effect and the record: the next request is the first one."""

    class Killed(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("securecore.idempotency.store", die)
        with pytest.raises(Killed):
            post("/idempotent/handler")
    assert (effects(), IdempotencyRecord.objects.count()) == (0, 0)
    assert "Idempotency-Replayed" not in post("/idempotent/handler")
    assert effects() == 1
