"""The packages that auth_cost.py compares: for each its middleware, a REST framework view, and an accepted request.

All views are the same except for authentication. Each returns the user's name, so that every peer must load the user.
"""

from __future__ import annotations

import datetime as dt
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory
from django.test.utils import override_settings
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from knox.auth import TokenAuthentication as KnoxAuthentication
from knox.models import AuthToken
from oauth2_provider.contrib.rest_framework import OAuth2Authentication
from oauth2_provider.models import AccessToken as OAuthToken
from oauth2_provider.models import Application
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.tokens import AccessToken as SimpleToken

from securecore import tokens
from securecore.grants import grant, principal_of
from securecore.http.authentication import AccessTokenAuthentication, CertificateAuthentication
from securecore.http.authentication import SessionAuthentication as BoundSessionAuthentication
from securecore.identity import enroll, parse_pem
from securecore.testing import Authority, Issued

#: As docs/caller.md advises.
LEASE_MS = 200
CERTIFICATE = "securecore.http.middleware.ClientCertificateMiddleware"
REFUSALS = "securecore.http.middleware.RefusalMiddleware"
SESSION = "securecore.http.middleware.SessionMiddleware"
AUTHENTICATION = "securecore.http.middleware.AuthenticationMiddleware"


@dataclass(frozen=True)
class Peer:
    """A package to measure. ``headers`` are the WSGI variables of an accepted request; ``settings`` apply around it."""

    path: str
    headers: dict[str, str]
    middleware: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    def caller(self) -> Callable[[], None]:
        """Return a function that makes one request through the whole WSGI application."""
        handler = WSGIHandler.__new__(WSGIHandler)
        with override_settings(MIDDLEWARE=list(self.middleware), **self.settings):
            handler.load_middleware()
        environ = RequestFactory(**self.headers).get(f"/{self.path}", secure=True).environ

        def call() -> None:
            response = handler(environ.copy(), lambda *_: None)
            if response.status_code != 200:
                raise RuntimeError(f"{self.path}: {response.status_code} {response.content!r}")
            response.close()

        return call


class View(APIView):
    permission_classes = (IsAuthenticated,)
    authentication_classes: Any = ()

    def get(self, request: Any) -> Response:
        return Response({"user": request.user.username})


class Bare(View):
    permission_classes = ()  # type: ignore[assignment]


def _view(authentication: type) -> Any:
    return type(authentication.__name__, (View,), {"authentication_classes": (authentication,)}).as_view()


VIEWS = {
    "bare": Bare.as_view(),
    "session": _view(SessionAuthentication),
    "simplejwt": _view(JWTAuthentication),
    "knox": _view(KnoxAuthentication),
    "oauth-toolkit": _view(OAuth2Authentication),
    "securecore-certificate": _view(CertificateAuthentication),
    "securecore-jwt": _view(AccessTokenAuthentication),
    "securecore-session": _view(BoundSessionAuthentication),
}


@csrf_exempt
def view_of(request: Any, peer: str) -> Any:
    return VIEWS[peer](request)


# One URL pattern for all peers: with several, the last pattern would cost the most.
urlpatterns = [path("<slug:peer>", view_of)]


def peers(user: User, now: dt.datetime) -> dict[str, Peer]:
    """Return every peer by name, each with an accepted request of ``user``; securecore also with a lease."""
    ours = _ours(user, Authority().issue("alice"), now)
    lease = {"SECURECORE": settings.SECURECORE | {"LEASE_MS": LEASE_MS}}
    leased = {f"{name}-lease": replace(peer, settings=lease) for name, peer in ours.items()}
    return {"bare": Peer("bare", {}), **_others(user, now), **ours, **leased}


def _others(user: User, now: dt.datetime) -> dict[str, Peer]:
    simple = str(SimpleToken.for_user(user))
    _, knox = AuthToken.objects.create(user)
    application = Application.objects.create(client_type="confidential", authorization_grant_type="password")
    oauth = OAuthToken.objects.create(
        user=user, application=application, token="t" * 30, scope="read", expires=now + dt.timedelta(hours=1)
    )
    middleware = (
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    )
    engine = "django.contrib.sessions.backends.db"
    return {
        "django-session": Peer("session", _cookie(_session(engine, user)), middleware, {"SESSION_ENGINE": engine}),
        "simplejwt": Peer("simplejwt", {"HTTP_AUTHORIZATION": f"Bearer {simple}"}),
        "knox": Peer("knox", {"HTTP_AUTHORIZATION": f"Token {knox}"}),
        "django-oauth-toolkit": Peer("oauth-toolkit", {"HTTP_AUTHORIZATION": f"Bearer {oauth.token}"}),
    }


def _ours(user: User, issued: Issued, now: dt.datetime) -> dict[str, Peer]:
    certificate = parse_pem(issued.pem)
    enroll(certificate=certificate, user=user, now=now)
    grant(principal=principal_of(user), permission="transfers.create", now=now)
    binding = f"x5t#S256:{certificate.thumbprint}"
    family, _ = tokens.refresh.start(
        user_id=user.pk,
        client_id="alice",
        binding=binding,
        certificate=certificate.thumbprint,
        scope="",
        rotates=False,
        now=now,
    )
    token, _ = tokens.issue(subject=str(user.pk), client_id="alice", binding=binding, family_id=family.pk, now=now)
    session = _session("securecore.sessions", user, binding)
    bearer = {**issued.environ, "HTTP_AUTHORIZATION": f"Bearer {token}"}
    return {
        "securecore-certificate": Peer("securecore-certificate", issued.environ, (CERTIFICATE, REFUSALS)),
        "securecore-jwt": Peer("securecore-jwt", bearer, (CERTIFICATE, REFUSALS)),
        "securecore-session": Peer(
            "securecore-session",
            {**issued.environ, **_cookie(session)},
            (CERTIFICATE, SESSION, AUTHENTICATION, REFUSALS),
        ),
    }


def _session(engine: str, user: User, *proven: str) -> str:
    """Log ``user`` in and return the session's id."""
    request: Any = RequestFactory().get("/", secure=True)
    request.session = importlib.import_module(engine).SessionStore(None, *proven)
    login(request, user, "django.contrib.auth.backends.ModelBackend")
    request.session.save()
    return str(request.session.session_key)


def _cookie(session_key: str) -> dict[str, str]:
    return {"HTTP_COOKIE": f"__Host-sessionid={session_key}"}
