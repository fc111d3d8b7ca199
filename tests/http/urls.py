"""Views that report the request that reached them, beside the app's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore.errors import Refused
from securecore.http.authentication import AccessTokenAuthentication


class Asking:
    """A middleware that itself queries the database."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        User.objects.count()
        return self.get_response(request)


def seen(request: Any) -> HttpResponse:
    """Report the attributes that the middleware set on the request."""
    certificate = request.client_certificate
    return JsonResponse(
        {
            "thumbprint": certificate and certificate.thumbprint,
            "user": request.certificate_user and request.certificate_user.username,
            "meta": sorted(request.META),
            "headers": dict(request.headers),
        }
    )


def session(request: Any) -> HttpResponse:
    """Return the contents of the session; a POST stores the parameter `value` in the session."""
    if request.method == "POST":
        request.session["value"] = request.POST["value"]
    return JsonResponse({"value": request.session.get("value"), "user": request.user.username})


def flush(request: HttpRequest) -> HttpResponse:
    """End the session without reading it, like a view that authenticates in its own way."""
    request.session.flush()
    return HttpResponse()


def ended_meanwhile(request: HttpRequest) -> HttpResponse:
    """Another request ends the session while this one writes to it."""
    request.session["value"] = "late"
    type(request.session)(request.session.session_key).delete(request.session.session_key)
    return HttpResponse()


def users(request: HttpRequest) -> HttpResponse:
    """Query the database in the view itself."""
    return JsonResponse({"count": User.objects.count()})


class PaymentRequired(Refused):
    code = "payment-required"
    status = 402
    title = "Pay first."


def endless() -> Exception:
    return endless()


RAISED: dict[str, Callable[[], Exception]] = {
    "refused": lambda: PaymentRequired("It costs nothing.", headers={"X-Price": "0"}),
    "away": lambda: OperationalError("server closed the connection unexpectedly"),
    "locked": lambda: OperationalError("database is locked"),
    "not-found": Http404,
    "denied": PermissionDenied,
    "throttled": lambda: exceptions.Throttled(wait=7),
    "invalid": lambda: exceptions.ValidationError({"amount": ["Too much."]}),
    "failed": exceptions.AuthenticationFailed,
    "endless": endless,
    "mistake": lambda: ZeroDivisionError("a programming mistake"),
}


def raises(request: HttpRequest, name: str) -> HttpResponse:
    raise RAISED[name]()


class Raises(APIView):
    """The same in REST framework, for anonymous clients."""

    permission_classes = ()

    def get(self, request: Any, name: str) -> Response:
        raise RAISED[name]()


class Protected(APIView):
    """For users, by token or by certificate, with the authentication classes of the settings."""

    def get(self, request: Any) -> Response:
        return Response({"user": request.user.username, "auth": type(request.auth).__name__})

    post = get


class TokenOnly(Protected):
    authentication_classes = (AccessTokenAuthentication,)


urlpatterns = [
    path("seen", seen),
    path("session", session),
    path("flush", flush),
    path("ended-meanwhile", ended_meanwhile),
    path("users", users),
    path("raises/<name>", raises),
    path("api/raises/<name>", Raises.as_view()),
    path("protected", Protected.as_view()),
    path("token-only", TokenOnly.as_view()),
    path("", include("securecore.urls")),
]
