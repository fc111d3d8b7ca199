"""The key is claimed inside every check: views with a check in each place where a check can stand."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views import View
from rest_framework.decorators import api_view
from rest_framework.views import APIView

from securecore.errors import Misuse
from securecore.http.decorators import fresh, idempotent, recently_authenticated, requires
from securecore.idempotency import IdempotencyRecord
from tests.idempotency.claim_place_views import REFUSED, SERVED, with_every_name
from tests.support.views import effects

pytestmark = [pytest.mark.urls("tests.idempotency.claim_place_views"), pytest.mark.django_db(transaction=True)]


def is_replay(response: Any) -> bool:
    return bool(response.status_code == 201 and response.get("Idempotency-Replayed") == "true")


class TestUnknownPlace:
    @pytest.mark.parametrize("name", [name for name in REFUSED if not name.startswith("declared")])
    def test_unknown_place_refuses_a_key_under_the_middleware(self, post: Any, middleware: None, name: str) -> None:
        response = post(f"/refused/{name}?let-me-in")
        assert (response.status_code, response.json().get("code")) == (400, "idempotency-not-supported")
        assert (effects(), IdempotencyRecord.objects.count()) == (0, 0)

    @pytest.mark.parametrize("name", [name for name in REFUSED if name.startswith("declared")])
    def test_unknown_place_refuses_a_key_under_a_decorator_of_the_class(self, post: Any, name: str) -> None:
        response = post(f"/refused/{name}?let-me-in")
        assert (response.status_code, response.json().get("code")) == (400, "idempotency-not-supported")
        assert (effects(), IdempotencyRecord.objects.count()) == (0, 0)

    def test_unknown_place_runs_a_request_without_a_key(self, post: Any, middleware: None) -> None:
        assert post("/refused/wraps?let-me-in", key=None).status_code == 201
        assert post("/refused/handler-closure?let-me-in", key=None).status_code == 201

    def test_unknown_place_of_an_action_refuses_a_key(self, post: Any, middleware: None) -> None:
        assert post("/actions/checked?let-me-in").json()["code"] == "idempotency-not-supported"
        assert post("/actions/extra").status_code == 201

    def test_unknown_place_is_reported_at_start(self, middleware: None, capsys: Any, monkeypatch: Any) -> None:
        monkeypatch.setattr("securecore.checks.idempotency._SHOWN", 100)
        call_command("check", "--tag", "security")
        reported = capsys.readouterr().err
        assert "securecore.W502" in reported
        for name in ("without_wraps", "Actions.checked", ".plain.post", "Decorated.post"):
            assert name in reported
        for name in ("Actions.extra", "Actions.create", ".Handler.post", "Alias.post"):
            assert name not in reported


class TestKnownPlace:
    @pytest.mark.parametrize("name", SERVED)
    def test_known_place_has_one_effect_and_passes_the_check_again(
        self, post: Any, middleware: None, name: str
    ) -> None:
        url = f"/served/{name}?let-me-in"
        assert post(url).status_code == 201
        assert is_replay(post(url))
        refused = post(url.partition("?")[0])
        assert (refused.status_code, effects()) == (500 if name == "raising" else 403, 1)

    def test_known_place_of_a_view_that_another_view_calls_is_the_outer_one(self, post: Any, middleware: None) -> None:
        """Both classes are served, but one request has one claim."""
        assert post("/inner").status_code == 201
        assert is_replay(post("/inner"))
        assert post("/served/calling?let-me-in", key="k-2").status_code == 201
        assert effects() == 2

    @pytest.mark.parametrize(("name", "retention"), [("derived", 5), ("redeclared", 9)])
    def test_known_place_has_the_policy_that_the_class_declares(
        self, post: Any, middleware: None, name: str, retention: int
    ) -> None:
        assert post(f"/served/{name}?let-me-in").status_code == 201
        record = IdempotencyRecord.objects.get()
        assert (record.expires_at - record.created_at).total_seconds() == retention

    @pytest.mark.parametrize("method", ["CHECK_PERMISSIONS", "INITIAL", "HANDLE_EXCEPTION", "DISPATCH"])
    def test_known_place_is_no_other_method_of_the_class(self, mtls_client: Any, middleware: None, method: str) -> None:
        """HTTP allows such methods, and the name of the method is the name of the handler."""
        response = mtls_client("alice").generic(method, "/actions/extra", headers={"Idempotency-Key": "k"})
        assert response.status_code == 405
        assert not IdempotencyRecord.objects.exists()

    def test_known_place_runs_under_atomic_requests(self, post: Any, middleware: None) -> None:
        connection.settings_dict["ATOMIC_REQUESTS"] = True
        try:
            assert post("/served/class?let-me-in").status_code == 201
            assert is_replay(post("/served/class?let-me-in"))
        finally:
            connection.settings_dict["ATOMIC_REQUESTS"] = False


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


class TestWrongPlace:
    @pytest.mark.parametrize(
        "around",
        [
            login_required,
            requires("things.make"),
            fresh,
            recently_authenticated(within=60),
            idempotent,
            with_every_name,
        ],
    )
    def test_wrong_place_outside_another_decorator_is_told_at_import(self, around: Any) -> None:
        with pytest.raises(Misuse, match="under every other decorator"):
            idempotent(around(view))

    @pytest.mark.parametrize("of", [View.as_view(), APIView.as_view(), api_view(["POST"])(view), APIView.dispatch])
    def test_wrong_place_outside_dispatch_is_told_at_import(self, of: Any) -> None:
        with pytest.raises(Misuse, match="on the class"):
            idempotent(of)

    def test_wrong_place_of_a_partial_is_told_at_import(self) -> None:
        with pytest.raises(Misuse, match="partial"):
            idempotent(partial(view))

    @pytest.mark.parametrize("name", ["post", "dispatch"])
    def test_wrong_place_of_method_decorator_is_told_at_the_first_request(
        self, mtls_client: Any, users: dict[str, User], name: str
    ) -> None:
        with pytest.raises(Misuse, match="on the class"):
            mtls_client("alice").post(f"/method-decorator/{name}", headers={"Idempotency-Key": "k"})
        assert effects() == 0
