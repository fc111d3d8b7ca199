"""A check around a REST framework view, before any class of the view was asked; and a view that takes only tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from securecore import clock, tokens
from securecore.grants import grant, principal_of, principals
from securecore.revocation import revoke_token, revoke_user_tokens
from tests.caller.credential_urls import MAKE, BeforeTheCheck
from tests.caller.stage import Stage, Token, answer

pytestmark = pytest.mark.urls("tests.caller.credential_urls")


@pytest.fixture(autouse=True)
def _granted(stage: Stage) -> None:
    grant(principal=principal_of(stage.users["alice"]), permission=MAKE, now=clock.now())


@pytest.fixture
def before_the_check(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    return lambda happens: monkeypatch.setattr(BeforeTheCheck, "happens", staticmethod(happens))


class TestARequestInFlight:
    """Its token was judged once; the view's class takes that answer after the gate."""

    @pytest.mark.parametrize("kind", ["bearer", "dpop"])
    @pytest.mark.parametrize("path", ["/dispatched", "/dispatched/plain"])
    def test_a_request_in_flight_has_no_effect_after_its_token_was_revoked(
        self, stage: Stage, before_the_check: Any, kind: str, path: str
    ) -> None:
        client, token = stage.client("alice"), Token(kind)
        assert answer(stage.get(client, path, token)) == "alice"
        headers = stage.headers(token, path)
        issued = tokens.verify(headers["HTTP_AUTHORIZATION"].split()[1], now=clock.now())

        def revoke() -> None:
            revoke_token(issuer=issued.issuer, jti=issued.jti, expires_at=issued.expires_at, subject=issued.subject)

        before_the_check(revoke)
        assert answer(client.get(path, **headers)) == "permission-denied"

    def test_a_request_in_flight_has_no_effect_after_its_user_s_tokens_were_revoked(
        self, stage: Stage, before_the_check: Any
    ) -> None:
        client = stage.client("alice")
        headers = stage.headers(Token(), "/dispatched")
        before_the_check(lambda: revoke_user_tokens(stage.users["alice"]))
        assert answer(client.get("/dispatched", **headers)) == "permission-denied"

    def test_a_request_in_flight_without_a_token_is_its_certificate_s(
        self, stage: Stage, before_the_check: Any
    ) -> None:
        before_the_check(lambda: revoke_user_tokens(stage.users["alice"]))
        assert answer(stage.get(stage.client("alice"), "/dispatched/plain")) == "alice"


class TestACertificateOfNobody:
    """It was granted something by itself. No class of REST framework accepts it."""

    @pytest.fixture(autouse=True)
    def _granted(self, stage: Stage, _granted: None) -> None:
        grant(principal=principals.certificate(stage.thumbprint("nobody")), permission=MAKE, now=clock.now())

    @pytest.mark.parametrize("path", ["/by-token/requires", "/by-token/granted", "/by-token/authorize"])
    def test_a_certificate_of_nobody_does_not_take_the_place_of_a_token(self, stage: Stage, path: str) -> None:
        client = stage.client("nobody")
        assert answer(stage.get(client, path)) == "authentication-required"
        assert answer(stage.get(client, path, Token("dpop"))) == "alice"

    def test_a_certificate_of_nobody_acts_in_a_plain_view(self, stage: Stage) -> None:
        (principal,) = stage.client("nobody").get("/requires").json()["principals"]
        assert principal == principals.certificate(stage.thumbprint("nobody"))
