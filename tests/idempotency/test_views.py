"""Every kind of view, under a decorator of its class or under the middleware, and the checks that
each repeat passes.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from securecore import clock
from securecore.errors import Misuse
from securecore.grants import grant, principal_of, revoke
from securecore.http.decorators import idempotent
from securecore.http.idempotency import Policy
from securecore.http.idempotency.middleware import IdempotencyMiddleware
from securecore.idempotency import IdempotencyRecord
from tests.idempotency.views import Gate
from tests.support.views import effects

pytestmark = [pytest.mark.urls("tests.idempotency.views"), pytest.mark.django_db(transaction=True)]

MIDDLEWARE = "securecore.http.idempotency.middleware.IdempotencyMiddleware"

DECORATED = [
    "/class/plain",
    "/class/rest",
    "/class/things",
    "/class/things/extra",
    "/handler/plain",
    "/handler/rest",
]
UNDER_MIDDLEWARE = ["/bare/plain", "/bare/rest", "/bare/things", "/bare/things/extra"]


class Demanding(IdempotencyMiddleware):
    policy = Policy()


class TestOneKey:
    @pytest.mark.parametrize("url", DECORATED)
    def test_one_key_of_a_decorated_class_has_one_effect(self, post: Any, gate: Any, url: str) -> None:
        _expect_one_effect(post, url)
        assert post(url, key=None).json()["code"] == "idempotency-key-missing"

    @pytest.mark.parametrize("url", [*UNDER_MIDDLEWARE, "/rest-function", "/function"])
    def test_one_key_under_the_middleware_has_one_effect(self, post: Any, middleware: None, url: str) -> None:
        _expect_one_effect(post, url)
        assert post(url, key=None).status_code == 201  # the key is optional there, so such a request runs as always
        assert effects() == 2

    @pytest.mark.parametrize("url", DECORATED)
    def test_one_key_is_each_callers_own(self, post: Any, url: str) -> None:
        assert post(url, name="alice").content != post(url, name="bob").content
        assert effects() == 2

    @pytest.mark.parametrize("url", [*UNDER_MIDDLEWARE, "/rest-function", "/function"])
    def test_one_key_is_each_callers_own_under_the_middleware(self, post: Any, middleware: None, url: str) -> None:
        assert post(url, name="alice").content != post(url, name="bob").content
        assert effects() == 2

    @pytest.mark.parametrize("url", ["/class/plain", "/class/rest"])
    def test_one_key_is_not_asked_of_a_safe_method(self, mtls_client: Any, url: str) -> None:
        assert mtls_client("alice").get(url).status_code == 200

    def test_one_key_of_a_refusal_without_an_outer_transaction_stands_for_it(self, post: Any) -> None:
        """The refusal rolled the effects back together with the claim; then it was stored in a new transaction."""
        first, second = (post("/class/rest", {"outcome": "refused"}) for _ in range(2))
        assert (first.status_code, second["Idempotency-Replayed"]) == (422, "true")
        assert first.content == second.content
        assert (effects(), IdempotencyRecord.objects.count()) == (0, 1)


def _expect_one_effect(post: Any, url: str) -> None:
    first, second = post(url), post(url)
    assert (first.status_code, second.status_code) == (201, 201), first.content
    assert first.content == second.content
    assert ("Idempotency-Replayed" in first, second.get("Idempotency-Replayed")) == (False, "true")
    assert effects() == 1


class TestReplay:
    @pytest.mark.parametrize("url", DECORATED)
    def test_replay_passes_the_permission_again(self, post: Any, gate: type[Gate], url: str) -> None:
        self._expect_refused_without_permission(post, gate, url)

    @pytest.mark.parametrize("url", UNDER_MIDDLEWARE)
    def test_replay_passes_it_under_the_middleware(
        self, post: Any, gate: type[Gate], middleware: None, url: str
    ) -> None:
        self._expect_refused_without_permission(post, gate, url)

    def _expect_refused_without_permission(self, post: Any, gate: type[Gate], url: str) -> None:
        assert post(url).status_code == 201
        gate.permitted = False
        assert post(url).status_code == 403
        gate.permitted = True
        assert post(url)["Idempotency-Replayed"] == "true"

    @pytest.mark.parametrize("url", ["/class/rest", "/class/things", "/handler/rest"])
    def test_replay_passes_throttles_again(self, post: Any, gate: type[Gate], url: str) -> None:
        assert post(url).status_code == 201
        gate.throttled_after = False
        assert (post(url).status_code, post(url)["Retry-After"]) == (429, "7")

    @pytest.mark.parametrize("url", ["/guarded", "/guarded-function"])
    def test_replay_passes_requires_again_under_the_middleware(
        self, post: Any, middleware: None, users: dict[str, User], url: str
    ) -> None:
        alice = principal_of(users["alice"])
        grant(principal=alice, permission="things.make", now=clock.now())
        _expect_one_effect(post, url)
        revoke(principal=alice, permission="things.make", now=clock.now())
        assert post(url).json()["code"] == "permission-denied"

    def test_replay_passes_a_decorator_around_a_class(self, mtls_client: Any, middleware: None, users: Any) -> None:
        client = mtls_client("alice")
        assert client.post("/auth/login").status_code < 300
        first, second = (client.post("/bare/decorated-class", headers={"Idempotency-Key": "k"}) for _ in range(2))
        assert (first.status_code, second["Idempotency-Replayed"]) == (201, "true")
        client.cookies.clear()
        assert client.post("/bare/decorated-class", headers={"Idempotency-Key": "k"}).status_code == 302

    def test_replay_slips_past_no_decorator_that_we_do_not_know(self, post: Any, middleware: None) -> None:
        response = post("/bare/decorated")
        assert (response.status_code, response.json()["code"]) == (400, "idempotency-not-supported")
        assert effects() == 0
        assert post("/bare/decorated", key=None).status_code == 302  # to the login


class TestMiddleware:
    def test_middleware_leaves_exempt_views_alone(self, post: Any, middleware: None) -> None:
        first, second = post("/bare/exempt"), post("/bare/exempt")
        assert (first.status_code, second.status_code) == (201, 201)
        assert first.content != second.content

    @pytest.mark.parametrize("url", ["/auth/login", "/oauth/token"])
    def test_middleware_stores_no_session_and_no_token(self, post: Any, middleware: None, url: str) -> None:
        assert b"idempotency-not-supported" not in post(url).content
        assert not IdempotencyRecord.objects.exists()

    def test_middleware_needs_a_caller(self, post: Any, middleware: None) -> None:
        assert post("/function", name=None).json()["code"] == "authentication-required"

    def test_middleware_may_demand_the_key(self, post: Any, settings: Any) -> None:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE[:-1], f"{__name__}.Demanding", settings.MIDDLEWARE[-1]]
        for url in ("/bare/plain", "/bare/rest"):
            assert post(url, key=None).json()["code"] == "idempotency-key-missing"
            _ = post(url)
        assert effects() == 2
        assert post("/bare/decorated", key=None).json()["code"] == "idempotency-not-supported"

    def test_middleware_leaves_the_policy_of_a_view_to_the_view(self, post: Any, middleware: None) -> None:
        assert post("/class/rest", key=None).json()["code"] == "idempotency-key-missing"

    def test_middleware_serves_in_each_place(self, post: Any, settings: Any) -> None:
        """It calls no view, so Django runs ``process_view`` of each later middleware."""
        settings.MIDDLEWARE = [MIDDLEWARE, *settings.MIDDLEWARE]
        _expect_one_effect(post, "/bare/rest")

    def test_middleware_names_the_views_it_cannot_serve(self, settings: Any, middleware: None, capsys: Any) -> None:
        call_command("check")
        reported = capsys.readouterr().err
        assert "securecore.W502" in reported
        assert "decorated_function" in reported
        assert "exempt_function" not in reported
        assert "guarded_function" not in reported


class TestBody:
    def test_body_may_be_read_by_a_permission(self, post: Any) -> None:
        first, second = post("/handler/rest", {"a": 1}), post("/handler/rest", {"a": 2})
        assert (first.status_code, second.status_code) == (201, 422)

    def test_body_that_was_read_as_a_stream_is_explained(self, rf: Any, users: dict[str, User]) -> None:
        request = rf.post("/", {"a": 1}, content_type="application/json", headers={"Idempotency-Key": "k"})
        request.user, request.resolver_match = users["alice"], None
        request.read()
        with pytest.raises(Misuse, match="on the class"):
            idempotent(lambda request: None)(request)


class TestMisuse:
    def test_misuse_of_a_class_that_is_no_view(self) -> None:
        with pytest.raises(Misuse, match="class-based view"):
            idempotent(type("Nothing", (), {}))

    @pytest.mark.parametrize("policy", [{"fingerprint": ("boby",)}, {"retention": 0}, {"max_body": -1}, {"lease": 0}])
    def test_misuse_of_a_policy_is_told_at_import(self, policy: dict[str, Any]) -> None:
        with pytest.raises(Misuse):
            idempotent(**policy)
