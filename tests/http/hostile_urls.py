"""Every URL that takes text from outside, beside the app's own URLs."""

from __future__ import annotations

from typing import Any

from django.urls import include, path
from rest_framework.response import Response
from rest_framework.serializers import ChoiceField, Serializer
from rest_framework.views import APIView

from securecore.http.decorators import idempotent
from securecore.http.sessions.views import LoginView


class Reading(APIView):
    @idempotent
    def post(self, request: Any) -> Response:
        return Response({"kind": type(request.data).__name__})


class Choosing(APIView):
    permission_classes = ()

    class Choice(Serializer[Any]):
        kind = ChoiceField(["a", "b"])

    def post(self, request: Any) -> Response:
        self.Choice(data=request.data).is_valid(raise_exception=True)
        return Response()


urlpatterns = [
    path("choosing", Choosing.as_view()),
    path("reading", Reading.as_view()),
    path("login/password", LoginView.as_view(demands=("password",))),
    path("login/both", LoginView.as_view(demands=("certificate", "password"))),
    path("replay/", include("tests.replay.urls")),
    path("views/", include("tests.support.views")),
    path("", include("tests.tokens.urls")),
]
