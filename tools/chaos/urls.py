"""Views with one effect for each request: a row in ``chaos_effect``. The response holds the row's random id, so two
effects never have equal responses.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore.http.decorators import idempotent


def effect(key: str) -> dict[str, Any]:
    """Insert a row for ``key``. Only the view's own protection prevents a second row."""
    made = {"id": secrets.token_hex(8), "key": key}
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO chaos_effect (id, key) VALUES (%s, %s)", list(made.values()))
    return made


def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"ok": True})


@csrf_exempt
def bare(request: HttpRequest) -> HttpResponse:
    """Have the effect without protection, to show that the checker reports it."""
    return JsonResponse(effect(json.loads(request.body)["key"]), status=201)


@csrf_exempt
@idempotent
def once(request: HttpRequest) -> HttpResponse:
    return JsonResponse(effect(json.loads(request.body)["key"]), status=201)


class Once(APIView):
    @idempotent
    def post(self, request: Any) -> Response:
        return Response(effect(request.data["key"]), status=201)


def call_elsewhere(request: Any) -> HttpResponse:
    """Treat ``chaos_effect`` as another service: the row commits at once, under the key for that service."""
    done = effect(request.idempotency.key_for("elsewhere"))
    return JsonResponse(done | {"attempt": request.idempotency.attempt}, status=201)


urlpatterns = [
    path("healthz", healthz),
    path("bare", bare),
    path("once", once),
    path("rest/once", Once.as_view()),
    path("leased", csrf_exempt(idempotent(lease=0.5)(call_elsewhere))),
    path("long-leased", csrf_exempt(idempotent(lease=60)(call_elsewhere))),
]
