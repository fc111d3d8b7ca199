"""django-rest-knox with a limit of tokens per user, and a route that deletes all tokens for the next round."""

from __future__ import annotations

from typing import Any

from tests.scanner.peers import project

LIMIT = 3
project.configure(__name__, apps=("knox",), REST_KNOX={"TOKEN_LIMIT_PER_USER": LIMIT})

from django.urls import path  # noqa: E402
from knox.models import AuthToken  # type: ignore[import-untyped]  # noqa: E402
from knox.views import LoginView  # type: ignore[import-untyped]  # noqa: E402
from rest_framework.authentication import BasicAuthentication  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402


class Login(LoginView):  # type: ignore[misc]
    authentication_classes = (BasicAuthentication,)


class Reset(APIView):
    authentication_classes = ()

    def post(self, request: Any) -> Response:
        AuthToken.objects.all().delete()
        return Response({"code": "none is left"})


urlpatterns = [path("login", Login.as_view()), path("reset", Reset.as_view())]
application = project.application()
