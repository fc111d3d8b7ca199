"""Views that report the caller, one for each way to authenticate."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore.http.authentication import (
    AccessTokenAuthentication,
    CertificateAuthentication,
    DPoPAuthentication,
    SessionAuthentication,
)
from securecore.http.authorization.caller import caller_of
from securecore.http.request import SecureRequest


class Who(APIView):
    def get(self, request: Any) -> Response:
        user = request.user
        complete = {name: str(getattr(user, name)) for name in ("pk", "username", "email", "first_name", "date_joined")}
        return Response({**complete, "leased": request.credentials.is_leased})


class May(APIView):
    def get(self, request: Any) -> Response:
        return Response({"may": request.user.has_perm(request.query_params["permission"])})


class Names(APIView):
    def get(self, request: Any) -> Response:
        return Response({"names": caller_of(request).principals})


class Writes(Who):
    def get(self, request: Any) -> Response:
        request.user.first_name = "changed and not saved"
        return super().get(request)


def by(view: type[APIView], authentication: type) -> Any:
    return view.as_view(authentication_classes=(authentication,))


def django_view(request: SecureRequest) -> HttpResponse:
    return JsonResponse({"username": request.user.get_username(), "leased": request.credentials.is_leased})


def basket(request: HttpRequest) -> HttpResponse:
    """Return the contents of the session; a POST adds one."""
    if request.method == "POST":
        request.session["count"] = request.session.get("count", 0) + 1
    return JsonResponse({"count": request.session.get("count", 0), "username": request.user.get_username()})


urlpatterns = [
    path("token", by(Who, AccessTokenAuthentication)),
    path("dpop", by(Who, DPoPAuthentication)),
    path("certificate", by(Who, CertificateAuthentication)),
    path("session", by(Who, SessionAuthentication)),
    path("may", by(May, AccessTokenAuthentication)),
    path("names", by(Names, AccessTokenAuthentication)),
    path("writes", by(Writes, CertificateAuthentication)),
    path("django", django_view),
    path("basket", basket),
    path("", include("securecore.urls")),
]
