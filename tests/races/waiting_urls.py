"""Views that lose their database session while they hold the gate: by a revocation, or because the session was idle."""

from __future__ import annotations

import time
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore import database
from securecore.grants.gate import eviction
from securecore.http.decorators import idempotent, requires
from securecore.http.permissions import GrantedView, authorize
from tests.support.views import make_effect

MAKE = "things.make"


def held(request: Any) -> None:
    """Make an effect, and end the database session if the request demands it."""
    make_effect()
    how = request.GET.get("how")
    if how == "idle":
        time.sleep(1)
    if how == "ended":
        pid = connection.connection.info.backend_pid
        own = eviction._connection_like(database.connection())
        with own.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        own.close()


@csrf_exempt
@requires(MAKE)
def function(request: HttpRequest) -> HttpResponse:
    held(request)
    return HttpResponse(status=201)


@csrf_exempt
@requires(MAKE, late=True)
def late(request: HttpRequest) -> HttpResponse:
    with authorize(request, MAKE):
        held(request)
    return HttpResponse(status=201)


@csrf_exempt
def by_hand(request: HttpRequest) -> HttpResponse:
    with authorize(request, MAKE):
        held(request)
        make_effect() if request.GET.get("how") else None
    return HttpResponse(status=201)


@csrf_exempt
@requires(MAKE)
@idempotent
def keyed(request: HttpRequest) -> HttpResponse:
    held(request)
    return HttpResponse(status=201)


class Granted(GrantedView, APIView):
    grants = {"post": MAKE}  # noqa: RUF012

    def post(self, request: Any) -> Response:
        held(request)
        return Response(status=201)


urlpatterns = [
    path("function", function),
    path("late", late),
    path("by-hand", by_hand),
    path("keyed", keyed),
    path("granted", Granted.as_view()),
]
