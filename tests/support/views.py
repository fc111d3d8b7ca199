"""Views with an effect that can be counted: every call that is allowed to makes one more ``Group``."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import Throttled, ValidationError
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore.errors import PermissionDenied, Refused
from securecore.http.decorators import fresh, idempotent, requires


class OutOfPaper(Refused):
    code = "out-of-paper"
    status = 422
    title = "There is no paper left."


def effects() -> int:
    return Group.objects.count()


def make_effect() -> str:
    return Group.objects.create(name=str(uuid.uuid4())).name


def _outcome(outcome: str) -> None:
    """Return or raise the outcome that the request demands, after the effect."""
    if outcome == "invalid":
        raise ValidationError({"amount": ["too much"]})
    if outcome == "refused":
        raise OutOfPaper
    if outcome == "denied":
        raise PermissionDenied
    if outcome == "throttled":
        raise Throttled(wait=7)
    if outcome == "broken":
        raise ZeroDivisionError


@csrf_exempt
@fresh
def fresh_function(request: HttpRequest) -> HttpResponse:
    name = make_effect()
    _outcome(request.GET.get("outcome", ""))
    return JsonResponse({"name": name}, status=201)


class FreshHandler(APIView):
    @fresh
    def post(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201)


@method_decorator(fresh, name="dispatch")
class FreshDispatch(APIView):
    def post(self, request: Any) -> Response:
        name = make_effect()
        _outcome(request.GET.get("outcome", ""))
        return Response({"name": name}, status=201)


@csrf_exempt
@idempotent
def idempotent_function(request: HttpRequest) -> HttpResponse:
    name = make_effect()
    _outcome(request.GET.get("outcome", ""))
    status = int(request.GET.get("status", "201"))
    response = JsonResponse({"name": name}, status=status, headers={"Location": f"/things/{name}"})
    response.set_cookie("flavour", "oat")
    response["Set-Cookie"] = "grain=oat"
    return response


@csrf_exempt
@idempotent
def idempotent_stream(request: HttpRequest) -> StreamingHttpResponse:
    make_effect()
    return StreamingHttpResponse(iter([b"one", b"two"]))


@csrf_exempt
@idempotent
def idempotent_large(request: HttpRequest) -> HttpResponse:
    make_effect()
    return HttpResponse(b"x" * 70_000)


class IdempotentHandler(APIView):
    @idempotent
    def post(self, request: Any, number: int = 0) -> Response:
        name = make_effect()
        _outcome(request.data.get("outcome", ""))
        return Response({"name": name, "memo": request.data.get("memo")}, status=request.data.get("status", 201))


class GuardedHandler(APIView):
    @requires("things.make")
    @idempotent
    def post(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201)


@csrf_exempt
@requires("things.make")
def guarded_function(request: HttpRequest) -> HttpResponse:
    name = make_effect()
    _outcome(request.GET.get("outcome", ""))
    return JsonResponse({"name": name}, status=201)


urlpatterns = [
    path("fresh", fresh_function),
    path("fresh/handler", FreshHandler.as_view()),
    path("fresh/dispatch", FreshDispatch.as_view()),
    path("idempotent", idempotent_function),
    path("idempotent/stream", idempotent_stream),
    path("idempotent/large", idempotent_large),
    path("idempotent/handler", IdempotentHandler.as_view()),
    path("idempotent/handler/<int:number>", IdempotentHandler.as_view()),
    path("guarded", guarded_function),
    path("guarded/handler", GuardedHandler.as_view()),
    path("", include("securecore.urls")),
]
