"""Views of the projects: the caller, and an effect that needs a permission."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore.http.decorators import requires


class Caller(APIView):
    def get(self, request: Any) -> Response:
        described: dict[str, Any] = _described(request.user)
        if hasattr(request.user, "has_perm"):  # AbstractBaseUser has none
            described["may"] = request.user.has_perm(request.GET.get("permission", "x.y"))
        return Response(described)


def page(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return HttpResponse(status=401)
    return JsonResponse(_described(request.user))


@csrf_exempt
@requires("things.make")
def make(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=201)


@csrf_exempt
@requires("auth.add_group")
def add_group(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=201)


def _described(user: Any) -> dict[str, Any]:
    annotated = {"group_count": user.group_count} if hasattr(user, "group_count") else {}
    return annotated | {"key": str(user.pk), "name": user.get_username(), "class": user.__class__.__name__}


urlpatterns = [
    *([path("admin/", admin.site.urls)] if apps.is_installed("django.contrib.admin") else []),
    path("caller", Caller.as_view()),
    path("page", page),
    path("make", make),
    path("add-group", add_group),
    path("", include("securecore.urls")),
]
