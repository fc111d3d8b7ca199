"""django-rest-knox, with a login by HTTP Basic as in its manual. PEER_FORM=weak: the logout leaves the token alone."""

from __future__ import annotations

import os
from typing import Any

from tests.scanner.peers import project

WEAK = os.environ["PEER_FORM"] == "weak"
project.configure(
    __name__,
    apps=("knox", "drf_spectacular"),
    REST_FRAMEWORK={"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"},
)

from django.urls import path  # noqa: E402
from drf_spectacular.views import SpectacularAPIView  # noqa: E402
from knox.auth import TokenAuthentication  # type: ignore[import-untyped]  # noqa: E402
from knox.views import LoginView, LogoutView  # type: ignore[import-untyped]  # noqa: E402
from rest_framework.authentication import BasicAuthentication  # noqa: E402
from rest_framework.response import Response  # noqa: E402

from tests.scanner.peers.whoami import whoami_view  # noqa: E402


class Login(LoginView):  # type: ignore[misc]
    authentication_classes = (BasicAuthentication,)


class ForgetfulLogout(LogoutView):  # type: ignore[misc]
    def post(self, request: Any, format: Any = None) -> Response:
        return Response(None, status=204)


urlpatterns = [
    path("api/schema/", SpectacularAPIView.as_view()),
    path("api/whoami/", whoami_view(TokenAuthentication)),
    path("api/auth/login/", Login.as_view()),
    path("api/auth/logout/", (ForgetfulLogout if WEAK else LogoutView).as_view()),
]
application = project.application("bob")
