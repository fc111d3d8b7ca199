"""A view for each strength of freshness and each place to demand it; every call that is served makes one ``Group``."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from securecore.errors import PermissionDenied, Refused
from securecore.http.authentication import CertificateAuthentication, DPoPAuthentication
from securecore.http.decorators import FreshMixin, fresh
from tests.support.views import OutOfPaper, make_effect


def effect(request: Any) -> dict[str, str]:
    """Make the effect; then fail, if the request demands it."""
    name = make_effect()
    refusals: dict[str, type[Refused]] = {"refused": OutOfPaper, "denied": PermissionDenied}
    wanted = request.GET.get("outcome")
    if wanted in refusals:
        raise refusals[wanted]
    if wanted == "broken":
        raise ZeroDivisionError
    return {"name": name}


@csrf_exempt
@fresh(proof="signature")
def signature_function(request: HttpRequest) -> HttpResponse:
    return JsonResponse(effect(request), status=201)


@csrf_exempt
@fresh(proof="dpop")
def dpop_function(request: HttpRequest) -> HttpResponse:
    return JsonResponse(effect(request), status=201)


@fresh
def read(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


class SignatureHandler(APIView):
    @fresh(proof="signature")
    def post(self, request: Any) -> Response:
        return Response(effect(request) | {"body": request.data}, status=201)


class DPoPHandler(APIView):
    authentication_classes = (DPoPAuthentication, CertificateAuthentication)

    @fresh(proof="dpop")
    def post(self, request: Any) -> Response:
        return Response(effect(request), status=201)


@method_decorator(fresh(proof="signature"), name="dispatch")
class SignatureDispatch(APIView):
    def post(self, request: Any) -> Response:
        return Response(effect(request), status=201)


class Things(FreshMixin, APIView):
    freshness = "signature"

    def get(self, request: Any) -> Response:
        return Response()

    def post(self, request: Any) -> Response:
        return Response(effect(request), status=201)


class NonceThings(FreshMixin, APIView):
    def post(self, request: Any) -> Response:
        return Response(effect(request), status=201)


class ThingSet(FreshMixin, ViewSet):
    freshness = "signature"

    def create(self, request: Any) -> Response:
        return Response(effect(request), status=201)


urlpatterns = [
    path("signature", signature_function),
    path("signature/handler", SignatureHandler.as_view()),
    path("signature/dispatch", SignatureDispatch.as_view()),
    path("signature/mixin", Things.as_view()),
    path("signature/viewset", ThingSet.as_view({"post": "create"})),
    path("signature/caf\u00e9 %", signature_function),
    path("nonce/mixin", NonceThings.as_view()),
    path("read", read),
    path("dpop", dpop_function),
    path("dpop/handler", DPoPHandler.as_view()),
    path("", include("securecore.urls")),
]
