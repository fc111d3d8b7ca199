"""Views with handlers that check the caller by themselves."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import Group
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.response import Response
from rest_framework.serializers import ModelSerializer
from rest_framework.views import APIView
from rest_framework.viewsets import ModelViewSet

from securecore.http.decorators import idempotent, requires
from securecore.http.permissions import GrantedView, authorize, late_gate
from tests.support.views import make_effect

MAKE = "things.make"


class Owned:
    """The names that the caller may see, and the names that it may change."""

    visible: ClassVar[set[str]] = set()
    permitted: ClassVar[set[str]] = set()


class MayChange(BasePermission):
    def has_object_permission(self, request: Any, view: Any, obj: Group) -> bool:
        return obj.name in Owned.permitted


class GroupSerializer(ModelSerializer[Group]):
    class Meta:
        model = Group
        fields: ClassVar = ["name"]


@idempotent
class Groups(ModelViewSet[Group]):
    permission_classes = (IsAuthenticated, MayChange)
    serializer_class = GroupSerializer

    def get_queryset(self) -> Any:
        return Group.objects.filter(name__in=Owned.visible)


@idempotent
class Granted(GrantedView, ModelViewSet[Group]):
    queryset = Group.objects.order_by("pk")
    serializer_class = GroupSerializer
    grants = dict.fromkeys(["retrieve", "update", "destroy"], MAKE)


class GrantedHandler(GrantedView, ModelViewSet[Group]):
    queryset = Group.objects.order_by("pk")
    serializer_class = GroupSerializer
    grants = dict.fromkeys(["retrieve", "update", "destroy"], MAKE)

    @idempotent
    def destroy(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        return super().destroy(request, *args, **kwargs)


@idempotent
class ByBody(APIView):
    """The body names the object, and the handler checks it by hand."""

    permission_classes = (IsAuthenticated, MayChange)

    def post(self, request: Any) -> Response:
        group = Group.objects.get(name=request.data["name"])
        self.check_object_permissions(request, group)
        return Response({"name": make_effect()}, status=201)


class ProxyOfGroup(Group):
    class Meta:
        proxy = True
        app_label = "auth"


@idempotent
class Proxies(ModelViewSet[Group]):
    permission_classes = (IsAuthenticated, MayChange)
    serializer_class = GroupSerializer

    def get_queryset(self) -> Any:
        return ProxyOfGroup.objects.filter(name__in=Owned.visible)


@idempotent
class OfTheTutorial(APIView):
    """REST framework's tutorial has a view with a ``get_object()`` of its own, and no queryset."""

    permission_classes = (IsAuthenticated, MayChange)

    def get_object(self, pk: int) -> Group:
        group = get_object_or_404(Group, pk=pk, name__in=Owned.visible)
        self.check_object_permissions(self.request, group)
        return group

    def put(self, request: Any, pk: int) -> Response:
        group = self.get_object(pk=pk) if "by-name" in request.query_params else self.get_object(pk)
        group.name = request.data["name"]
        group.save()
        return Response({"name": group.name})

    def delete(self, request: Any, pk: int) -> Response:
        self.get_object(pk).delete()
        return Response(status=204)


@idempotent
class Relaying(APIView):
    """It answers with the headers of another service, which uses securecore too."""

    permission_classes = (IsAuthenticated,)

    def post(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201, headers=request.data)


class RelayingHandler(APIView):
    @requires(MAKE, consume=lambda request: 1)
    def post(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201, headers={"Idempotency-Replayed": "true"})


class RelayingLate(APIView):
    @requires(MAKE, consume=lambda request: 1, late=True)
    def post(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201, headers={"Idempotency-Replayed": "true"})


class RelayingGranted(GrantedView, APIView):
    grants = {"post": MAKE}  # noqa: RUF012

    def post(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201, headers={"Idempotency-Replayed": "true"})

    def consumed(self, request: Any) -> int:
        return 1


class Thing:
    """An object that is no row of a database."""

    pk = None
    name = "one"


@idempotent
class OfNoModel(APIView):
    permission_classes = (IsAuthenticated, MayChange)

    def post(self, request: Any) -> Response:
        self.check_object_permissions(request, Thing())
        return Response({"name": make_effect()}, status=201)


@csrf_exempt
@idempotent
def by_hand(request: HttpRequest) -> HttpResponse:
    with authorize(request, MAKE):
        return JsonResponse({"name": make_effect()}, status=201)


@csrf_exempt
@idempotent
def late_by_hand(request: HttpRequest) -> HttpResponse:
    with late_gate(request) as gate:
        gate.require(MAKE)
        return JsonResponse({"name": make_effect()}, status=201)


def _effect_that_goes() -> HttpResponse:
    name = ""
    try:
        with transaction.atomic(savepoint=False):
            name = make_effect()
            raise ValueError("noticed by nobody")
    except ValueError:
        pass
    return JsonResponse({"name": name}, status=201)


@csrf_exempt
@idempotent
def effect_that_goes(request: HttpRequest) -> HttpResponse:
    return _effect_that_goes()


@csrf_exempt
@requires(MAKE)
@idempotent
def joined_effect_that_goes(request: HttpRequest) -> HttpResponse:
    return _effect_that_goes()


urlpatterns = [
    path("groups/<int:pk>", Groups.as_view({"put": "update", "delete": "destroy"})),
    path("granted/<int:pk>", Granted.as_view({"put": "update", "delete": "destroy"})),
    path("granted-handler/<int:pk>", GrantedHandler.as_view({"delete": "destroy"})),
    path("proxies/<int:pk>", Proxies.as_view({"put": "update", "delete": "destroy"})),
    path("of-the-tutorial/<int:pk>", OfTheTutorial.as_view()),
    path("relaying", Relaying.as_view()),
    path("relaying/handler", RelayingHandler.as_view()),
    path("relaying/late", RelayingLate.as_view()),
    path("relaying/granted", RelayingGranted.as_view()),
    path("by-body", ByBody.as_view()),
    path("of-no-model", OfNoModel.as_view()),
    path("by-hand", by_hand),
    path("late-by-hand", late_by_hand),
    path("effect-that-goes", effect_that_goes),
    path("joined-effect-that-goes", joined_effect_that_goes),
]
