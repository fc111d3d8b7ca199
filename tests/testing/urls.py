from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore.http.decorators import requires


def page(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"user": request.user.get_username(), "is_secure": request.is_secure()})


class Things(APIView):
    def get(self, request: Any) -> Response:
        return Response({"user": request.user.get_username()})

    @requires("things.make")
    def post(self, request: Any) -> Response:
        return Response(request.data, status=201)


class Transfers(APIView):
    """The view of the examples in docs/testing.md."""

    @requires("transfers.create")
    def post(self, request: Any) -> Response:
        return Response(request.data, status=201)


urlpatterns = [
    path("page", page),
    path("things", Things.as_view()),
    path("api/transfers", Transfers.as_view()),
    path("", include("securecore.urls")),
]
