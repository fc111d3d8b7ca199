"""Refusals as problem responses, from a plain view and from REST framework."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from django.core.exceptions import DisallowedHost, SuspiciousOperation
from django.test import Client, RequestFactory

from securecore.errors import Busy, CertificateExpired, every_refusal
from securecore.events import DatabaseAway, RequestRefused
from securecore.http.problems import bad_request, csrf_failure, problem_response
from securecore.testing import MutualTLSClient
from tests.events.recorder import of_kind, recorded

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.urls")]

BOTH = pytest.mark.parametrize("prefix", ["", "/api"], ids=["view", "REST framework"])


@pytest.fixture
def client() -> Client:
    return MutualTLSClient()


def problem(answer: Any) -> Any:
    assert answer["Content-Type"] == "application/problem+json"
    said = answer.json()
    assert said["status"] == answer.status_code
    assert said["type"] == f"urn:securecore:problem:{said['code']}"
    assert said["title"]
    return said


def test_host_that_is_not_allowed_is_named_as_the_fault(rf: RequestFactory) -> None:
    """The demo answered "the request cannot be understood" to https://127.0.0.1:8443."""

    def answer(request: Any, error: Exception) -> Any:
        """Return a response with ``json()``, as a test client does."""
        response: Any = bad_request(request, error)
        response.json = lambda: json.loads(response.content)
        return response

    request = rf.get("/", HTTP_HOST="evil.example")
    with pytest.raises(DisallowedHost) as raised:
        request.get_host()
    said = problem(answer(request, raised.value))
    assert (said["status"], said["code"]) == (400, "host-not-allowed")
    assert "evil.example" not in str(said)
    assert problem(answer(request, SuspiciousOperation()))["code"] == "bad-request"


class TestRefused:
    @BOTH
    def test_refused_says_what_the_caller_may_know(self, client: Client, prefix: str) -> None:
        answer = client.get(f"{prefix}/raises/refused")
        assert problem(answer) == {
            "type": "urn:securecore:problem:payment-required",
            "title": "Pay first.",
            "status": 402,
            "code": "payment-required",
            "detail": "It costs nothing.",
            "request_id": answer.json()["request_id"],
        }
        assert (answer["X-Price"], answer["Cache-Control"]) == ("0", "no-store")

    @BOTH
    def test_refused_is_one_event(self, client: Client, prefix: str) -> None:
        with recorded() as events:
            answer = client.get(f"{prefix}/raises/refused?q=secret")
        assert events == [
            RequestRefused(
                code="payment-required",
                method="GET",
                path=f"{prefix}/raises/refused",
                thumbprint=None,
                serial=None,
                user=None,
                address="",
                request_id=answer.json()["request_id"],
                reason="It costs nothing.",
            )
        ]

    @pytest.mark.parametrize("refusal", every_refusal(), ids=lambda refusal: refusal.code)
    def test_refused_of_every_kind_can_be_answered(self, rf: Any, refusal: Any) -> None:
        answer = problem_response(rf.get("/"), refusal())
        assert answer.status_code == refusal.status
        assert ("Retry-After" in answer) is (refusal.status == 503 or refusal.code == "idempotency-in-progress")

    def test_refused_keeps_the_cause_for_the_event(self, rf: Any) -> None:
        refusal = every_refusal()[0]()
        refusal.__cause__ = ValueError("the proxy sent nonsense")
        with recorded() as events:
            answer = problem_response(rf.get("/"), refusal)
        assert b"nonsense" not in answer.content
        assert "nonsense" in of_kind(events, RequestRefused)[0].reason


class TestDatabaseAway:
    @BOTH
    def test_database_away_is_503_with_retry_after(self, client: Client, prefix: str) -> None:
        with recorded() as events:
            answer = client.get(f"{prefix}/raises/away")
        assert (answer.status_code, answer["Retry-After"]) == (503, "1")
        assert problem(answer)["code"] == "database-unavailable"
        assert "closed the connection" not in answer.content.decode()
        assert [event.path for event in of_kind(events, DatabaseAway)] == [f"{prefix}/raises/away"]

    @BOTH
    def test_database_away_that_was_only_busy_says_so(self, client: Client, prefix: str) -> None:
        answer = client.get(f"{prefix}/raises/locked")
        assert (answer.status_code, answer["Retry-After"], problem(answer)["code"]) == (503, "1", "busy")


class TestRestFramework:
    def test_rest_framework_not_found_is_a_problem(self, client: Client) -> None:
        answer = client.get("/api/raises/not-found")
        assert (answer.status_code, problem(answer)["code"]) == (404, "not-found")

    def test_rest_framework_permission_denied_is_a_problem(self, client: Client) -> None:
        answer = client.get("/api/raises/denied")
        assert (answer.status_code, problem(answer)["code"]) == (403, "permission-denied")

    def test_rest_framework_throttled_keeps_its_header(self, client: Client) -> None:
        answer = client.get("/api/raises/throttled")
        assert (answer.status_code, answer["Retry-After"], problem(answer)["code"]) == (429, "7", "throttled")
        assert "7" in problem(answer)["detail"]

    def test_rest_framework_invalid_input_keeps_its_errors(self, client: Client) -> None:
        answer = client.get("/api/raises/invalid")
        assert (answer.status_code, problem(answer)["code"]) == (400, "invalid")
        assert problem(answer)["errors"] == {"amount": ["Too much."]}

    def test_rest_framework_failed_authentication_keeps_its_header(self, client: Client) -> None:
        answer = client.get("/api/raises/failed")
        assert (answer.status_code, problem(answer)["code"]) == (401, "authentication-failed")
        assert answer["WWW-Authenticate"] == 'Bearer realm="api"'

    def test_rest_framework_missing_authentication_keeps_its_header(self, client: Client) -> None:
        answer = client.get("/protected")
        assert (answer.status_code, problem(answer)["code"]) == (401, "authentication-required")
        assert answer["WWW-Authenticate"] == 'Bearer realm="api"'

    def test_rest_framework_wrong_method_keeps_its_header(self, client: Client) -> None:
        answer = client.post("/api/raises/refused")
        assert (answer.status_code, problem(answer)["code"]) == (405, "method-not-allowed")
        assert "GET" in answer["Allow"]

    def test_rest_framework_template_of_a_message_is_no_title(self, client: Client) -> None:
        """The class holds 'Method "{method}" not allowed.', and only the instance has the method."""
        answer = client.post("/api/raises/refused")
        assert problem(answer)["title"] == "Method Not Allowed"
        assert problem(answer)["detail"] == 'Method "POST" not allowed.'

    @BOTH
    def test_rest_framework_endless_recursion_stays_a_500(self, prefix: str) -> None:
        """Only the recursion in a JSON parser is the sender's fault."""
        client = MutualTLSClient()
        client.raise_request_exception = False
        assert client.get(f"{prefix}/raises/endless").status_code == 500

    @BOTH
    def test_rest_framework_programming_mistake_stays_a_500(self, prefix: str) -> None:
        client = MutualTLSClient()
        client.raise_request_exception = False
        answer = client.get(f"{prefix}/raises/mistake")
        assert answer.status_code == 500
        assert b"programming mistake" not in answer.content


class TestPage:
    """A refusal that a browser shows to a person."""

    BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

    @pytest.mark.parametrize(
        ("accept", "is_page"),
        [
            (BROWSER, True),
            ("text/html", True),
            ("*/*", False),
            ("application/json", False),
            ("application/problem+json, text/html;q=0.5", False),
            ("text/html;q=0.4, application/json", False),
            ("text/plain", False),
            ("text/html;q=none", True),
            ("/;;,,text/html", True),
            ("", False),
        ],
    )
    def test_browser_gets_a_page_and_a_program_the_problem(self, rf: Any, accept: str, is_page: bool) -> None:
        request = rf.get("/", headers={"Accept": accept} if accept else {})
        response = problem_response(request, CertificateExpired("<script>"))
        assert response["Content-Type"] == ("text/html; charset=utf-8" if is_page else "application/problem+json")
        assert (response.status_code, response["Cache-Control"]) == (403, "no-store")
        assert "Accept" in response["Vary"]
        assert b"certificate-expired" in response.content
        assert b"<script>" not in response.content or not is_page

    def test_page_keeps_the_headers_of_the_refusal(self, rf: Any) -> None:
        request = rf.get("/", headers={"Accept": self.BROWSER})
        assert problem_response(request, Busy())["Retry-After"] == "1"


class TestRenderers:
    """A browser got the page of the browsable API under the label application/problem+json."""

    @pytest.mark.urls("tests.grants.granted_views")
    def test_only_json_is_labelled_as_a_problem(self, client: Client) -> None:
        page = client.post("/browsable", headers={"Accept": "text/html"})
        assert page["Content-Type"] == "text/html; charset=utf-8"
        assert page.content.lstrip().startswith(b"<!DOCTYPE html>")
        assert page["Cache-Control"] == "no-store"
        said = problem(client.post("/browsable", headers={"Accept": "application/json"}))
        assert said["code"] == "authentication-required"

    def test_pages_of_django_itself_are_for_browsers_too(self, rf: RequestFactory) -> None:
        for answer in (csrf_failure, partial(bad_request, exception=SuspiciousOperation())):
            assert answer(rf.get("/", headers={"Accept": "text/html"}))["Content-Type"].startswith("text/html")
            assert answer(rf.get("/"))["Content-Type"] == "application/problem+json"
