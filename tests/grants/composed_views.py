"""Views with a grant inside another permission class: ``A & HasGrant(...)``, ``A | HasGrant(...)``."""

from __future__ import annotations

from typing import Any

from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore.http.permissions import GrantedView, HasGrant
from tests.grants.granted_views import MAKE, Base
from tests.support.views import make_effect


class Composed(GrantedView, APIView):
    """It never asks about its object."""

    lookup_field = "name"
    permission_classes = (IsAuthenticated & HasGrant(MAKE),)  # type: ignore[operator]

    def post(self, request: Any, name: str) -> Response:
        return Response({"name": make_effect()})


class ComposedByName(Base):
    lookup_field = "name"
    permission_classes = (IsAuthenticated & HasGrant(MAKE),)  # type: ignore[operator]


class Alternative(Base):
    """Its first permission suffices."""

    lookup_field = "name"
    permission_classes = (IsAuthenticated | HasGrant(MAKE),)  # type: ignore[operator]


urlpatterns = [
    path("composed/<name>", Composed.as_view()),
    path("composed-by-name/<name>", ComposedByName.as_view({"get": "retrieve"})),
    path("alternative/<name>", Alternative.as_view({"get": "retrieve"})),
]
