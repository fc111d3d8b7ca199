from __future__ import annotations

from typing import Any

import django_otp
from debug_toolbar.toolbar import debug_toolbar_urls
from django.contrib import admin
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from oauth2_provider.contrib.rest_framework import OAuth2Authentication
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


def show_toolbar(request: HttpRequest) -> bool:
    return request.path == "/page"


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<html><body>a page</body></html>")


def verify(request: Any) -> HttpResponse:
    django_otp.login(request, django_otp.match_token(request.user, request.GET["token"]))
    return HttpResponse()


def me(request: Any) -> HttpResponse:
    may = request.user.has_perm("auth.change_group", Group.objects.first())
    return JsonResponse({"user": request.user.get_username(), "verified": request.user.is_verified(), "may": may})


class Who(APIView):
    def get(self, request: Any) -> Response:
        return Response({"user": request.user.get_username()})


class StockSimpleJWT(Who):
    """Their class stays beside ours, as it stood before."""

    authentication_classes = (AccessTokenAuthentication, JWTAuthentication, CertificateAuthentication)


class MovingSimpleJWT(Who):
    authentication_classes = (AccessTokenAuthentication, SimpleJWTAuthentication, CertificateAuthentication)


class Toolkit(Who):
    authentication_classes = (
        AccessTokenAuthentication,
        DPoPAuthentication,
        OAuth2Authentication,
        CertificateAuthentication,
        SessionAuthentication,
    )


urlpatterns = [
    path("page", page),
    path("verify", verify),
    path("me", me),
    path("stock", StockSimpleJWT.as_view()),
    path("moving", MovingSimpleJWT.as_view()),
    path("toolkit", Toolkit.as_view()),
    *debug_toolbar_urls(),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("", include("securecore.urls")),
]
