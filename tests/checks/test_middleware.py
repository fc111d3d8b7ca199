"""Middleware that is missing, in the wrong order, or without its session engine, is found."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import path

from securecore.testing import MutualTLSClient
from tests.checks.findings import found
from tests.checks.urls import Close, CloseByDispatch, close, close_once

CERTIFICATE = "securecore.http.middleware.ClientCertificateMiddleware"
SESSION = "securecore.http.middleware.SessionMiddleware"
USER = "securecore.http.middleware.AuthenticationMiddleware"
REFUSAL = "securecore.http.middleware.RefusalMiddleware"
DJANGO_SESSION = "django.contrib.sessions.middleware.SessionMiddleware"


class TestMiddleware:
    @pytest.mark.parametrize(
        ("middleware", "ids"),
        [
            ([CERTIFICATE, SESSION, USER, REFUSAL], []),
            (["other", CERTIFICATE, "other", SESSION, USER, "other", REFUSAL], []),
            ([SESSION, USER, REFUSAL], ["E101"]),
            ([CERTIFICATE, SESSION, USER], ["E102"]),
            ([CERTIFICATE, REFUSAL], ["E201"]),
            ([CERTIFICATE, DJANGO_SESSION, USER, REFUSAL], ["E201"]),
            ([SESSION, CERTIFICATE, USER, REFUSAL], ["E202"]),
            ([CERTIFICATE, SESSION, REFUSAL], ["E711"]),
            ([CERTIFICATE, USER, SESSION, REFUSAL], ["E211"]),
            ([CERTIFICATE, USER, REFUSAL], ["E201", "E211"]),
            ([], ["E101", "E102", "E201"]),
        ],
    )
    def test_middleware_is_complete_and_in_order(self, settings: Any, middleware: list[str], ids: list[str]) -> None:
        settings.MIDDLEWARE = middleware
        assert found() == ids

    def test_middleware_reads_the_peer_before_anybody_writes_it(self, settings: Any) -> None:
        rewriting = "tests.http.rewriting.ForwardedFor"
        honest = "django.middleware.security.SecurityMiddleware"
        settings.MIDDLEWARE = [honest, rewriting, CERTIFICATE, SESSION, USER, REFUSAL]
        assert found() == ["E107"]
        settings.MIDDLEWARE = [honest, CERTIFICATE, rewriting, SESSION, USER, REFUSAL]
        assert found() == []
        settings.MIDDLEWARE = [rewriting, CERTIFICATE, SESSION, USER, REFUSAL]
        settings.SECURECORE = {**settings.SECURECORE, "CERTIFICATE_SOURCE": "gunicorn"}
        settings.SECURECORE |= {"TRUSTED_PROXIES": [], "PROXY_SECRETS": []}
        assert found() == []

    def test_middleware_goes_with_the_engine(self, settings: Any) -> None:
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
        assert found() == ["E201"]
        settings.MIDDLEWARE = [CERTIFICATE, "tests.checks.urls.OwnSessions", USER, REFUSAL]
        assert found() == ["E201"]
        settings.MIDDLEWARE = [CERTIFICATE, REFUSAL]
        assert found() == []
        settings.MIDDLEWARE = [CERTIFICATE, DJANGO_SESSION, USER, REFUSAL]
        assert found() == ["W210"]

    @pytest.mark.parametrize("view", [close, Close.as_view(), CloseByDispatch.as_view(), close_once])
    @pytest.mark.parametrize(
        ("middleware", "engine", "ids", "failure"),
        [
            ([CERTIFICATE, REFUSAL], "django.contrib.sessions.backends.db", ["E711"], "Misuse"),
            ([CERTIFICATE, USER, REFUSAL], "django.contrib.sessions.backends.db", ["E211"], "ImproperlyConfigured"),
            ([CERTIFICATE, SESSION, USER, REFUSAL], "django.contrib.sessions.backends.db", ["E201"], "TypeError"),
            ([CERTIFICATE, SESSION, USER, REFUSAL], "securecore.sessions", [], ""),
        ],
    )
    @pytest.mark.django_db(transaction=True)
    def test_middleware_that_fails_each_request_is_found(
        self, settings: Any, view: Any, middleware: list[str], engine: str, ids: list[str], failure: str
    ) -> None:
        settings.MIDDLEWARE, settings.SESSION_ENGINE = middleware, engine
        settings.ROOT_URLCONF = (path("", view),)
        assert found() == ids
        client = MutualTLSClient(None, raise_request_exception=False)
        response = client.post("/", headers={"Idempotency-Key": "1"})
        assert response.status_code == (500 if failure else 401), response.content
        assert failure in str(getattr(response, "exc_info", ""))
