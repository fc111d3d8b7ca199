"""The projects that a page of the manual moves, each as the manual of its own package says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Move:
    """A package: its page, its settings and URLs before the move, and the code of a client that gets an old token.

    ``token`` is run with ``client`` (Django's test client, without a certificate) and ``user``, and sets ``header``.
    ``after`` is the code of the refusal of an old token when the move is over.
    """

    page: str
    apps: tuple[str, ...]
    authentication: str
    urls: str
    token: str
    after: str


MOVES = {
    "simplejwt": Move(
        page="howto/simplejwt.md",
        apps=("rest_framework_simplejwt",),
        authentication="rest_framework_simplejwt.authentication.JWTAuthentication",
        urls="""
from rest_framework_simplejwt.views import TokenObtainPairView
urlpatterns += [path("token", TokenObtainPairView.as_view())]
""",
        token="""
answer = client.post("/token", {"username": "alice", "password": "a long secret"}).json()
header = "Bearer " + answer["access"]
""",
        after="invalid-token",
    ),
    "knox": Move(
        page="howto/knox.md",
        apps=("knox",),
        authentication="knox.auth.TokenAuthentication",
        urls="""
from knox.views import LoginView
from rest_framework.authentication import BasicAuthentication
urlpatterns += [path("token", LoginView.as_view(authentication_classes=[BasicAuthentication]))]
""",
        token="""
import base64
basic = base64.b64encode(b"alice:a long secret").decode()
header = "Token " + client.post("/token", headers={"Authorization": "Basic " + basic}).json()["token"]
""",
        after="authentication-required",
    ),
    "oauth-toolkit": Move(
        page="howto/oauth-toolkit.md",
        apps=("oauth2_provider",),
        authentication="oauth2_provider.contrib.rest_framework.OAuth2Authentication",
        urls="""
urlpatterns += [path("o/", include("oauth2_provider.urls", namespace="oauth2_provider"))]
""",
        token="""
from oauth2_provider.models import Application
Application.objects.create(
    name="billing", client_id="billing", client_secret="a secret", client_type="confidential",
    authorization_grant_type="password", user=user,
)
form = {"grant_type": "password", "username": "alice", "password": "a long secret", "client_id": "billing"}
answer = client.post("/o/token/", form | {"client_secret": "a secret"}).json()
header = "Bearer " + answer["access_token"]
""",
        after="invalid-token",
    ),
    "drf-tokens": Move(
        page="howto/drf-tokens.md",
        apps=("rest_framework.authtoken",),
        authentication="rest_framework.authentication.TokenAuthentication",
        urls="""
from rest_framework.authtoken.views import obtain_auth_token
urlpatterns += [path("token", obtain_auth_token)]
""",
        token="""
answer = client.post("/token", {"username": "alice", "password": "a long secret"}).json()
header = "Token " + answer["token"]
""",
        after="authentication-required",
    ),
}
