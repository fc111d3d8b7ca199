"""One view under each package's protection: an INSERT and a small response."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_idempotencykey.mixins import DrfIdempotencyKeyMixin
from idempotency_key.decorators import idempotency_key
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_idempotency_key.decorators import simple_idempotency_key_method

from securecore.http.decorators import idempotent
from tools.chaos.urls import effect, healthz


class Bare(APIView):
    def post(self, request: Any) -> Response:
        return Response(effect(request.data["key"]), status=201)


class Securecore(APIView):
    @idempotent
    def post(self, request: Any) -> Response:
        return Response(effect(request.data["key"]), status=201)


class DrfIdempotencyKey(DrfIdempotencyKeyMixin, Bare):
    require_idempotency_key = True


class DjangoRestFrameworkIdempotencyKey(APIView):
    @simple_idempotency_key_method
    def post(self, request: Any) -> Response:
        return Response(effect(request.data["key"]), status=201)


VIEWS = {
    "bare": Bare.as_view(),
    "securecore": Securecore.as_view(),
    "drf-idempotency": Bare.as_view(),
    "drf-idempotencykey": DrfIdempotencyKey.as_view(),
    "djangorestframework-idempotency-key": DjangoRestFrameworkIdempotencyKey.as_view(),
    "django-idempotency-key": idempotency_key(Bare.as_view()),
    "drf-idem": Bare.as_view(),
}

urlpatterns = [path("healthz", healthz), *(path(name, view) for name, view in VIEWS.items())]
