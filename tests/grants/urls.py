"""Views behind grants, with effects that a test can count."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import ValidationError
from rest_framework.mixins import ListModelMixin, UpdateModelMixin
from rest_framework.response import Response
from rest_framework.serializers import ModelSerializer
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from securecore.http.decorators import idempotent, requires
from securecore.http.permissions import GrantedView, HasGrant, authorize, late_gate
from tests.grants.conftest import MAKE
from tests.support.views import make_effect


def the_group(request: HttpRequest, name: str) -> Group:
    return Group.objects.get(name=name)


def made() -> JsonResponse:
    return JsonResponse({"name": make_effect()}, status=201)


@csrf_exempt
@requires(MAKE, obj=the_group)
def of_a_group(request: HttpRequest, name: str) -> HttpResponse:
    return made()


@csrf_exempt
@requires(MAKE, consume=lambda request: int(request.GET["amount"]))
@idempotent
def consuming(request: HttpRequest) -> HttpResponse:
    return made()


@csrf_exempt
@requires(MAKE, late=True)
@idempotent
def late(request: HttpRequest) -> HttpResponse:
    return made()


@csrf_exempt
def by_hand(request: HttpRequest) -> HttpResponse:
    with authorize(request, MAKE):
        return made()


@csrf_exempt
def shown_first(request: HttpRequest) -> HttpResponse:
    """Check the user object, which caches the result, revoke the permission by SQL, and make the effect."""
    user = request.certificate_user  # type: ignore[attr-defined]
    assert [user.has_perm(f"auth.{name}_group") for name in ("add", "change")] == [True, False]
    User.objects.get(pk=user.pk).user_permissions.clear()
    assert user.has_perm("auth.add_group")
    with authorize(request, "auth.add_group"):
        return made()


@csrf_exempt
def late_by_hand(request: HttpRequest) -> HttpResponse:
    with late_gate(request) as gate:
        gate.require(MAKE)
        return made()


class Groups(GrantedView, ListModelMixin, UpdateModelMixin, GenericViewSet[Group]):
    class GroupSerializer(ModelSerializer[Group]):
        class Meta:
            model = Group
            fields: ClassVar = ["name"]

        def save(self, **kwargs: Any) -> Any:
            saved = super().save(**kwargs)
            if self.validated_data["name"] == "broken":
                raise ValidationError("after the effect")
            return saved

    grants = {"list": "things.list", "update": MAKE}  # noqa: RUF012
    queryset = Group.objects.order_by("pk")
    serializer_class = GroupSerializer


class Careless(GrantedView, GenericViewSet[Group]):
    """A view that never checks its object."""

    grants = {"retrieve": MAKE}  # noqa: RUF012

    def retrieve(self, request: Any, pk: int) -> Response:
        return Response({"name": make_effect()})


class Making(GrantedView, APIView):
    permission_classes = (HasGrant(MAKE),)  # type: ignore[assignment]

    @idempotent
    def post(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201)


class Ungated(APIView):
    permission_classes = (HasGrant(MAKE),)  # type: ignore[assignment]

    def post(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201)


class Spending(APIView):
    @requires(MAKE, consume=lambda request: request.data["amount"])
    def post(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201)


class SpendingLate(APIView):
    @requires(MAKE, consume=lambda request: request.data["amount"], late=True)
    def post(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201)


class SpendingGranted(GrantedView, APIView):
    grants = {"post": MAKE}  # noqa: RUF012

    def post(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201)

    def consumed(self, request: Any) -> int:
        return request.data["amount"]  # type: ignore[no-any-return]


urlpatterns = [
    path("spending", Spending.as_view()),
    path("spending/late", SpendingLate.as_view()),
    path("spending/granted", SpendingGranted.as_view()),
    path("group/<str:name>", of_a_group),
    path("consuming", consuming),
    path("late", late),
    path("by-hand", by_hand),
    path("shown-first", shown_first),
    path("late-by-hand", late_by_hand),
    path("groups", Groups.as_view({"get": "list"})),
    path("groups/<int:pk>", Groups.as_view({"put": "update"})),
    path("careless/<int:pk>", Careless.as_view({"get": "retrieve"})),
    path("making", Making.as_view()),
    path("ungated", Ungated.as_view()),
]
