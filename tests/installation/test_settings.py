"""securecore.settings keeps the order of MIDDLEWARE and the classes of REST framework out of people's hands."""

from __future__ import annotations

import importlib
import itertools
from typing import Any

import pytest

from securecore.errors import Misuse
from securecore.settings import DEVELOPMENT_CERTIFICATE, authentication_backends, middleware, rest_framework
from tests.checks.findings import found

OURS = "securecore.http.middleware."
CERTIFICATE, SESSION, USER, REFUSAL = (
    f"{OURS}{name}Middleware" for name in ("ClientCertificate", "Session", "Authentication", "Refusal")
)
DEVELOPMENT = "securecore.testing.development.DevelopmentIdentityMiddleware"
#: The list of `startproject` in Django 5.2 and 6.
STARTPROJECT = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]


class TestMiddleware:
    def test_list_of_startproject(self) -> None:
        assert middleware(STARTPROJECT) == [
            "django.middleware.security.SecurityMiddleware",
            CERTIFICATE,
            SESSION,
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            USER,
            "django.contrib.messages.middleware.MessageMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
            REFUSAL,
        ]

    def test_entries_of_the_project_keep_their_order(self) -> None:
        own = ["shop.middleware.Tenant", "whitenoise.middleware.WhiteNoiseMiddleware", "shop.middleware.Last"]
        ordered = middleware([*own[:1], *STARTPROJECT, *own[1:]])
        assert [name for name in ordered if name in own] == own
        assert ordered[0] == CERTIFICATE  # the first entry may read a request

    @pytest.mark.parametrize("first", range(len(STARTPROJECT)))
    def test_any_rotation_is_a_list_without_findings(self, first: int, settings: Any) -> None:
        for names in ([*STARTPROJECT[first:], *STARTPROJECT[:first]], STARTPROJECT[:first]):
            settings.MIDDLEWARE = middleware(names)
            assert found() == []

    def test_ordered_lists_stay_as_they_are(self) -> None:
        for names in itertools.permutations([CERTIFICATE, SESSION, USER, REFUSAL, STARTPROJECT[2]]):
            ordered = middleware(names)
            assert middleware(ordered) == ordered
            assert [name for name in ordered if name.startswith(OURS)] == [CERTIFICATE, SESSION, USER, REFUSAL]

    def test_replaced_middleware_of_django(self) -> None:
        login = "django.contrib.auth.middleware.LoginRequiredMiddleware"
        assert f"{OURS}LoginRequiredMiddleware" in middleware([*STARTPROJECT, login])
        assert not [name for name in middleware([*STARTPROJECT, login]) if name.startswith("django.contrib.auth")]

    def test_development_identity_is_the_first_that_sees_a_request(self, monkeypatch: Any) -> None:
        assert middleware(STARTPROJECT, development=True) == middleware(STARTPROJECT), "the tests of a project run"
        monkeypatch.setenv(DEVELOPMENT_CERTIFICATE, "deploy/pki/alice.pem")
        assert middleware(STARTPROJECT, development=True)[1:3] == [DEVELOPMENT, CERTIFICATE]
        assert DEVELOPMENT not in middleware(middleware(STARTPROJECT, development=True), development=False)

    def test_text_is_misuse(self) -> None:
        with pytest.raises(Misuse, match=r"middleware\(MIDDLEWARE\)"):
            middleware("django.middleware.security.SecurityMiddleware")

    def test_refusals_that_are_not_last_are_found(self, settings: Any) -> None:
        settings.MIDDLEWARE = [CERTIFICATE, SESSION, USER, REFUSAL, "django.middleware.common.CommonMiddleware"]
        assert found() == ["W110"]
        settings.MIDDLEWARE = middleware(settings.MIDDLEWARE)
        assert found() == []


class TestOtherLists:
    def test_every_name_can_be_imported(self, monkeypatch: Any) -> None:
        monkeypatch.setenv(DEVELOPMENT_CERTIFICATE, "deploy/pki/alice.pem")
        classes = rest_framework()["DEFAULT_AUTHENTICATION_CLASSES"]
        names = [*middleware(STARTPROJECT, development=True), *authentication_backends(), *classes]
        for module, _, name in (each.rpartition(".") for each in names):
            assert hasattr(importlib.import_module(module), name)

    def test_certificate_backend_comes_first_once(self) -> None:
        backends = authentication_backends(["axes.backends.AxesStandaloneBackend"])
        assert backends == ["securecore.http.backends.CertificateBackend", "axes.backends.AxesStandaloneBackend"]
        assert authentication_backends(backends) == backends

    def test_classes_of_the_project_follow(self) -> None:
        jwt = "rest_framework_simplejwt.authentication.JWTAuthentication"
        given = {"DEFAULT_AUTHENTICATION_CLASSES": [jwt], "PAGE_SIZE": 10}
        changed = rest_framework(given)
        assert changed["DEFAULT_AUTHENTICATION_CLASSES"][-1] == jwt
        assert changed["PAGE_SIZE"] == 10
        assert given == {"DEFAULT_AUTHENTICATION_CLASSES": [jwt], "PAGE_SIZE": 10}
        assert rest_framework(changed) == changed

    def test_sessions_of_rest_framework_become_bound_ones(self) -> None:
        given = {"DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"]}
        last = rest_framework(given)["DEFAULT_AUTHENTICATION_CLASSES"][-1]
        assert last == "securecore.http.authentication.SessionAuthentication"

    def test_sessions_that_rest_framework_accepts_by_itself_stay(self) -> None:
        """A password session of a project without REST_FRAMEWORK was 401 in every view after the move."""
        session = "securecore.http.authentication.SessionAuthentication"
        for given in (None, {}, {"PAGE_SIZE": 10}):
            assert rest_framework(given)["DEFAULT_AUTHENTICATION_CLASSES"][-1] == session
        assert session not in rest_framework({"DEFAULT_AUTHENTICATION_CLASSES": []})["DEFAULT_AUTHENTICATION_CLASSES"]
