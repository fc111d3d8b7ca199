"""Every kind of view of Django and REST framework, under a key in every possible way."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import PermissionRequiredMixin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from rest_framework.decorators import action, api_view
from rest_framework.permissions import BasePermission
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from securecore.errors import Refused
from securecore.http.decorators import idempotency_exempt, idempotent, requires
from tests.support.views import make_effect


class OutOfPaper(Refused):
    code = "out-of-paper-here"
    status = 422
    title = "There is no paper left."


def made(request: Any) -> JsonResponse:
    return JsonResponse({"name": make_effect()}, status=201)


class Gate:
    """The results of the views' own checks; a test closes it."""

    permitted = throttled_after = True


class Permitted(BasePermission):
    def has_permission(self, request: Any, view: Any) -> bool:
        str(request.data)  # a permission that reads the body, as many do
        return Gate.permitted


class Throttled(BaseThrottle):
    def allow_request(self, request: Any, view: Any) -> bool:
        return Gate.throttled_after

    def wait(self) -> float:
        return 7


@method_decorator(csrf_exempt, name="dispatch")
class Plain(PermissionRequiredMixin, View):
    """Django's own checks are in its ``dispatch``."""

    raise_exception = True

    def has_permission(self) -> bool:
        return Gate.permitted

    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("read")

    def post(self, request: HttpRequest) -> HttpResponse:
        return made(request)


class Rest(APIView):
    permission_classes = (Permitted,)
    throttle_classes = (Throttled,)

    def get(self, request: Any) -> Response:
        return Response("read")

    def post(self, request: Any) -> Response:
        name = make_effect()
        if request.data.get("outcome") == "refused":
            raise OutOfPaper
        return Response({"name": name}, status=201)


class PlainHandler(Plain):
    @idempotent
    def post(self, request: HttpRequest) -> HttpResponse:
        return made(request)


class RestHandler(Rest):
    @idempotent(wait=False)
    def post(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201)


class Things(ViewSet):
    permission_classes = (Permitted,)
    throttle_classes = (Throttled,)

    def create(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201)

    @action(detail=False, methods=["post"])
    def extra(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201)


@idempotency_exempt
@api_view(["POST"])
@idempotent(required=False)
def rest_function(request: Any) -> Response:
    return Response({"name": make_effect()}, status=201)


@csrf_exempt
@require_POST
@idempotent(required=False)
def function(request: HttpRequest) -> HttpResponse:
    return made(request)


class Guarded(APIView):
    @requires("things.make")
    @idempotent
    def post(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201)


@csrf_exempt
@requires("things.make")
@idempotent
def guarded_function(request: HttpRequest) -> HttpResponse:
    return made(request)


@csrf_exempt
@login_required
def decorated_function(request: HttpRequest) -> HttpResponse:
    return made(request)


@csrf_exempt
@idempotency_exempt
def exempt_function(request: HttpRequest) -> HttpResponse:
    return made(request)


class Copy:
    """A class of the same name and body, so that each decoration changes its own class."""

    def __new__(cls, base: type[Any], **attributes: Any) -> Any:
        return type(base.__name__, (base,), attributes)


router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("class/things", idempotent(Copy(Things)), basename="class-things")
router.register("bare/things", Copy(Things), basename="bare-things")

urlpatterns = [
    path("class/plain", idempotent(Copy(Plain)).as_view()),
    path("class/rest", idempotent(Copy(Rest)).as_view()),
    path("handler/plain", PlainHandler.as_view()),
    path("handler/rest", RestHandler.as_view()),
    path("bare/plain", Copy(Plain).as_view()),
    path("bare/rest", Copy(Rest).as_view()),
    path("rest-function", rest_function),
    path("function", function),
    path("guarded", Guarded.as_view()),
    path("guarded-function", guarded_function),
    path("bare/decorated-class", login_required(Copy(Plain).as_view())),
    path("bare/decorated", decorated_function),
    path("bare/exempt", exempt_function),
    path("", include(router.urls)),
    path("", include("securecore.urls")),
]
