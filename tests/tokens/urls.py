"""Views for tokens of one scheme or of several, beside those of `tests.http.urls` and the app's own."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.urls import include, path
from rest_framework.exceptions import PermissionDenied
from rest_framework.response import Response

from securecore.http.authentication import (
    AccessTokenAuthentication,
    CertificateAuthentication,
    DPoPAuthentication,
    SimpleJWTAuthentication,
)
from tests.http.urls import Protected


class ForProofs(Protected):
    authentication_classes = (DPoPAuthentication,)


class ForBoth(Protected):
    authentication_classes = (AccessTokenAuthentication, DPoPAuthentication, CertificateAuthentication)


class Failing(ForBoth):
    """A view that fails after its effect, so that its transaction rolls back."""

    def get(self, request: Any) -> Response:
        Group.objects.create(name="undone")
        raise PermissionDenied


class AnyPath(ForProofs):
    def get(self, request: Any, rest: str = "") -> Response:
        return Response({"rest": rest})


class ForMigration(Protected):
    authentication_classes = (SimpleJWTAuthentication,)


class ForOldAndNew(Protected):
    authentication_classes = (SimpleJWTAuthentication, AccessTokenAuthentication, CertificateAuthentication)


class ForNewAndOld(Protected):
    authentication_classes = (AccessTokenAuthentication, SimpleJWTAuthentication, CertificateAuthentication)


urlpatterns = [
    path("admin/", admin.site.urls),
    path("proof-only", ForProofs.as_view()),
    path("both", ForBoth.as_view()),
    path("failing", Failing.as_view()),
    path("migration", ForMigration.as_view()),
    path("old-and-new", ForOldAndNew.as_view()),
    path("new-and-old", ForNewAndOld.as_view()),
    path("any/<path:rest>", AnyPath.as_view()),
    path("/any/<path:rest>", AnyPath.as_view()),
    path("", include("tests.http.urls")),
]
