"""Views that must begin their transaction after the request body has been received."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore.http.decorators import fresh, idempotent, requires
from securecore.http.permissions import GrantedView, authorize, late_gate
from tests.support.views import make_effect

MAKE = "things.make"


def done(request: Any) -> JsonResponse:
    make_effect()
    # After a parser has read the stream, Django no longer has the raw body.
    return JsonResponse({"body": request.body.decode("latin-1"), "is_atomic": connection.in_atomic_block}, status=201)


@csrf_exempt
@requires(MAKE)
def required(request: HttpRequest) -> HttpResponse:
    return done(request)


@csrf_exempt
@requires(MAKE, late=True)
def late(request: HttpRequest) -> HttpResponse:
    return done(request)


@csrf_exempt
def by_hand(request: HttpRequest) -> HttpResponse:
    with authorize(request, MAKE):
        return done(request)


@csrf_exempt
def late_by_hand(request: HttpRequest) -> HttpResponse:
    with late_gate(request) as gate:
        gate.require(MAKE)
        return done(request)


@csrf_exempt
@idempotent(fingerprint=("method", "path"))
def keyed(request: HttpRequest) -> HttpResponse:
    return done(request)


@csrf_exempt
@fresh
def freshly(request: HttpRequest) -> HttpResponse:
    return done(request)


class Granted(GrantedView, APIView):
    grants = {"post": MAKE}  # noqa: RUF012
    parser_classes = (JSONParser, MultiPartParser)

    def post(self, request: Any) -> Response:
        make_effect()
        files = {name: file.read().decode() for name, file in request.FILES.items()}
        return Response({"data": {**dict(request.data), **files}, "is_atomic": connection.in_atomic_block}, status=201)


class GrantedLazily(Granted):
    """REST framework's documented way to authenticate only at the first use of ``request.user``."""

    def perform_authentication(self, request: Any) -> None:
        pass


@csrf_exempt
@requires(MAKE)
def upload(request: HttpRequest) -> HttpResponse:
    file: Any = request.FILES["file"]
    Group.objects.create(name=file.name)
    return JsonResponse({"size": file.size, "note": request.POST["note"], "class": type(file).__name__}, status=201)


urlpatterns = [
    path("required", required),
    path("late", late),
    path("by-hand", by_hand),
    path("late-by-hand", late_by_hand),
    path("keyed", keyed),
    path("fresh", freshly),
    path("granted", Granted.as_view()),
    path("granted-lazily", GrantedLazily.as_view()),
    path("upload", upload),
]
