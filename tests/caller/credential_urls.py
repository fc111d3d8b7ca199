"""Views of every kind that report their caller and its permissions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from rest_framework.authentication import BaseAuthentication, BasicAuthentication
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication

from securecore.http.authentication import (
    AccessTokenAuthentication,
    CertificateAuthentication,
    DPoPAuthentication,
    SessionAuthentication,
    SimpleJWTAuthentication,
)
from securecore.http.authorization.caller import caller_of
from securecore.http.decorators import fresh, requires
from securecore.http.permissions import GrantedView, HasGrant, authorize
from securecore.http.request import SecureRequest

MAKE = "things.make"


def said(request: Any) -> dict[str, Any]:
    user = request.user
    return {"user": user.get_username(), "may": user.has_perm(MAKE)}


class Who(APIView):
    def get(self, request: Any) -> Response:
        return Response(said(request) | {"principals": caller_of(request).principals})

    post = get


class Public(Who):
    permission_classes = (AllowAny,)

    def get(self, request: Any) -> Response:
        return Response(said(request))


class Granted(GrantedView, APIView):
    permission_classes = (HasGrant(MAKE),)  # type: ignore[assignment]

    def get(self, request: Any) -> Response:
        return Response(said(request))


def plain(request: HttpRequest) -> HttpResponse:
    return JsonResponse(said(request))


async def asynchronous(request: HttpRequest) -> HttpResponse:
    user = await request.auser()
    return JsonResponse({"user": user.get_username()})


@requires(MAKE)
def required(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"principals": caller_of(request).principals})


class BeforeTheCheck:
    """The events after the authentication of the request and before its check."""

    @staticmethod
    def happens() -> None:
        pass


def happening(*_: Any, **__: Any) -> None:
    BeforeTheCheck.happens()


@method_decorator(requires(MAKE, obj=happening), name="dispatch")
class Dispatched(Public):
    pass


@requires(MAKE, obj=happening)
def dispatched_plain(request: SecureRequest) -> HttpResponse:
    user = request.certificate_user
    return JsonResponse({"user": user and user.get_username()})


class ByToken(APIView):
    permission_classes = (AllowAny,)

    @requires(MAKE)
    def get(self, request: Any) -> Response:
        return Response(said(request))


class ByTokenGranted(GrantedView, APIView):
    permission_classes = (HasGrant(MAKE),)  # type: ignore[assignment]

    def get(self, request: Any) -> Response:
        return Response(said(request))


class ByTokenAuthorized(APIView):
    permission_classes = (AllowAny,)

    def get(self, request: Any) -> Response:
        with authorize(request, MAKE):
            return Response(said(request))


def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def log_in(request: HttpRequest, name: str) -> HttpResponse:
    """Django's own login, which does not compare the user with the certificate's."""
    login(request, User.objects.get(username=name), "django.contrib.auth.backends.ModelBackend")
    return HttpResponse()


@csrf_exempt
@fresh(proof="signature")
def signed(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"user": request.user.get_username()})


class Signed(APIView):
    @fresh(proof="signature")
    def post(self, request: Any) -> Response:
        return Response(said(request))


class OnceOnly(APIView):
    @fresh
    def post(self, request: Any) -> Response:
        return Response(said(request))


class Proven(APIView):
    @fresh(proof="dpop")
    def post(self, request: Any) -> Response:
        return Response(said(request))


@csrf_exempt
@fresh(proof="dpop")
def proven(request: HttpRequest) -> HttpResponse:
    """It asks for no user."""
    return JsonResponse({"user": ""})


TOKENS = (AccessTokenAuthentication, DPoPAuthentication, SimpleJWTAuthentication)
OWN = (CertificateAuthentication, SessionAuthentication)
ORDERS: dict[str, tuple[type[BaseAuthentication], ...]] = {
    "tokens-first": (*TOKENS, *OWN),
    "tokens-last": (*OWN, *TOKENS),
    "simplejwt-last": (AccessTokenAuthentication, DPoPAuthentication, *OWN, SimpleJWTAuthentication),
    "simplejwt-first": (SimpleJWTAuthentication, *reversed(OWN), DPoPAuthentication, AccessTokenAuthentication),
}
VIEWS = {
    "certificate": (CertificateAuthentication,),
    "session": (SessionAuthentication,),
    "bearer": (AccessTokenAuthentication,),
    "foreign": (CertificateAuthentication, SessionAuthentication, JWTAuthentication, BasicAuthentication),
    "foreign-and-ours": (AccessTokenAuthentication, JWTAuthentication, CertificateAuthentication),
    "foreign-first": (JWTAuthentication, CertificateAuthentication),
}

urlpatterns = [
    *(path(f"who/{name}", Who.as_view(authentication_classes=each)) for name, each in (ORDERS | VIEWS).items()),
    *(path(f"public/{name}", Public.as_view(authentication_classes=each)) for name, each in VIEWS.items()),
    path("granted", Granted.as_view(authentication_classes=ORDERS["tokens-last"])),
    path("plain", plain),
    path("async", asynchronous),
    path("requires", required),
    path("dispatched", Dispatched.as_view(authentication_classes=TOKENS)),
    path("dispatched/plain", dispatched_plain),
    path("by-token/requires", ByToken.as_view(authentication_classes=TOKENS)),
    path("by-token/granted", ByTokenGranted.as_view(authentication_classes=TOKENS)),
    path("by-token/authorize", ByTokenAuthorized.as_view(authentication_classes=TOKENS)),
    path("healthz", healthz),
    path("log-in/<name>", log_in),
    path("signed", signed),
    path("signed/handler", Signed.as_view(authentication_classes=ORDERS["tokens-last"])),
    path("once", OnceOnly.as_view(authentication_classes=ORDERS["tokens-first"])),
    path("proven/plain", proven),
    path("proven/by-nobody", Proven.as_view(authentication_classes=(), permission_classes=(AllowAny,))),
    path("proven", Proven.as_view(authentication_classes=ORDERS["tokens-last"])),
    path("admin/", admin.site.urls),
    path("", include("securecore.urls")),
]
