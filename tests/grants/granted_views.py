"""Views of every kind behind ``GrantedView``: the manual's example, and each way in which a name can be missing."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

from django.contrib.auth.models import Group
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.decorators import action
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.serializers import ModelSerializer
from rest_framework.views import APIView
from rest_framework.viewsets import ModelViewSet, ViewSet

from securecore.http.decorators import idempotent, requires
from securecore.http.permissions import GrantedView, HasGrant
from tests.support.views import make_effect

MANUAL = Path(__file__).resolve().parents[2] / "docs/grants.md"
MAKE = "things.make"


class GroupSerializer(ModelSerializer[Group]):
    class Meta:
        model = Group
        fields: ClassVar = ["name"]


def _of_the_manual() -> dict[str, Any]:
    """Return the names that the manual's example defines."""
    (code,) = re.findall(r"```python\n(class Accounts.*?)```", MANUAL.read_text(), re.S)
    names = {**globals(), "Account": Group, "AccountSerializer": GroupSerializer}
    exec(code, names)
    return names


manual = _of_the_manual()


class Base(GrantedView, ModelViewSet):  # type: ignore[type-arg]
    queryset = Group.objects.order_by("pk")
    serializer_class = GroupSerializer


class Unnamed(Base):
    """The viewset names three of its six actions."""

    grants = {"list": MAKE, "update": MAKE, "destroy": MAKE}  # noqa: RUF012


class Misspelt(Base):
    grants = {  # noqa: RUF012
        **dict.fromkeys(["list", "retrieve", "create", "update", "destroy"], MAKE),
        "delete": "things.delete",
    }


class UnnamedMethods(GrantedView, APIView):
    grants = {"get": MAKE}  # noqa: RUF012

    def get(self, request: Any) -> Response:
        return Response({"name": make_effect()})

    def post(self, request: Any) -> Response:
        return Response({"name": make_effect()})


class MisspeltMethod(GrantedView, APIView):
    grants = {"get": MAKE, "retrieve": MAKE}  # noqa: RUF012

    def get(self, request: Any) -> Response:
        return Response({"name": make_effect()})


class Classwide(GrantedView, APIView):
    permission_classes = (IsAuthenticated, HasGrant(MAKE))  # type: ignore[assignment]

    def post(self, request: Any) -> Response:
        return Response({"name": make_effect()})


class Replaced(Classwide):
    """A subclass that removes the only HasGrant."""

    permission_classes = (AllowAny,)  # type: ignore[assignment]


class Named(GrantedView, APIView):
    grants = {"get": MAKE, "post": MAKE}  # noqa: RUF012

    def get(self, request: Any) -> Response:
        return Response({"name": make_effect()})

    post = get


class ReplacedPermissions(Named):
    permission_classes = [AllowAny]  # noqa: RUF012


class OverriddenGetPermissions(Named):
    """REST framework's documentation has this override, which does not call ``super()``."""

    def get_permissions(self) -> list[Any]:
        return [IsAuthenticated()]


class OverriddenCheckPermissions(Named):
    def check_permissions(self, request: Any) -> None:
        pass


class Extra(GrantedView, ViewSet):
    grants = {"listed": MAKE}  # noqa: RUF012

    @action(detail=False, methods=["post"], permission_classes=[IsAuthenticated])
    def listed(self, request: Any) -> Response:
        return Response({"name": make_effect()})

    @action(detail=False, methods=["post"], permission_classes=[IsAuthenticated, HasGrant(MAKE)])
    def guarded(self, request: Any) -> Response:
        return Response({"name": make_effect()})

    @action(detail=False, methods=["post"])
    @requires(MAKE)
    def decorated(self, request: Any) -> Response:
        return Response({"name": make_effect()})


class Unlisted(GrantedView, ViewSet):
    @action(detail=False, methods=["post"], permission_classes=[IsAuthenticated])
    def unlisted(self, request: Any) -> Response:
        return Response({"name": make_effect()})


class Opened(GrantedView, APIView):
    grants = {"get": None, "options": None}  # noqa: RUF012

    def get(self, request: Any) -> Response:
        return Response({"name": make_effect()})


class Browsable(Base):
    renderer_classes = (BrowsableAPIRenderer, JSONRenderer)
    grants = {**dict.fromkeys(["list", "retrieve", "update", "destroy"], "things.list"), "create": MAKE}  # noqa: RUF012


class LateWork(GrantedView, APIView):
    grants = {"post": MAKE}  # noqa: RUF012

    def post(self, request: Any, kind: str) -> Any:
        make_effect()
        return late_work(kind)


#: The files of the responses of ``late_work("file")``.
opened: list[BytesIO] = []


def late_work(kind: str) -> Any:
    if kind == "stream":
        return StreamingHttpResponse(make_effect() for _ in range(2))
    if kind == "file":
        opened.append(BytesIO(b"a file in memory: the collector reports no open one as an error of another test"))
        return FileResponse(opened[-1])
    if kind == "lazy":
        return Response(group.name for group in _rendered_lazily())
    return HttpResponse("made", status=int(kind))


def _rendered_lazily() -> Any:
    from django.db import connection

    yield Group(name=str(connection.in_atomic_block))
    yield Group(name=make_effect())


@csrf_exempt
@requires(MAKE)
def required(request: HttpRequest, kind: str) -> Any:
    make_effect()
    return late_work(kind)


class RequiredHandler(APIView):
    @requires(MAKE)
    def post(self, request: Any, kind: str) -> Any:
        make_effect()
        return late_work(kind)


@csrf_exempt
@requires(MAKE, late=True)
def late(request: HttpRequest, kind: str) -> Any:
    make_effect()
    return late_work(kind)


@csrf_exempt
@idempotent
def keyed(request: HttpRequest, kind: str) -> Any:
    make_effect()
    return late_work(kind)


@csrf_exempt
@requires(MAKE)
@idempotent
def required_keyed(request: HttpRequest, kind: str) -> Any:
    make_effect()
    return late_work(kind)


class GrantedKeyed(LateWork):
    @idempotent
    def post(self, request: Any, kind: str) -> Any:
        make_effect()
        return late_work(kind)


def _found(request: HttpRequest, name: str) -> Group:
    return Group.objects.get(name=name)


def _found_or_404(request: HttpRequest, name: str) -> Group:
    try:
        return Group.objects.get(name=name)
    except Group.DoesNotExist:
        raise Http404 from None


@csrf_exempt
@requires(MAKE, obj=_found)
def about_one(request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse("found")


@csrf_exempt
@requires(MAKE, obj=_found_or_404)
def about_one_or_404(request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse("found")


@csrf_exempt
@requires(MAKE, obj=_found, late=True)
def about_one_late(request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse("found")


class ByName(Base):
    lookup_field = "name"
    grants = {"retrieve": MAKE}  # noqa: RUF012


router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("accounts", manual["Accounts"], basename="accounts")
router.register("unnamed", Unnamed, basename="unnamed")
router.register("misspelt", Misspelt, basename="misspelt")
router.register("browsable", Browsable, basename="browsable")
router.register("extra", Extra, basename="extra")
router.register("unlisted", Unlisted, basename="unlisted")

urlpatterns = [
    path("", include(router.urls)),
    path("payouts", manual["Payouts"].as_view()),
    path("unnamed-methods", UnnamedMethods.as_view()),
    path("misspelt-method", MisspeltMethod.as_view()),
    path("classwide", Classwide.as_view()),
    path("replaced", Replaced.as_view()),
    path("named", Named.as_view()),
    path("replaced-permissions", ReplacedPermissions.as_view()),
    path("overridden-get-permissions", OverriddenGetPermissions.as_view()),
    path("overridden-check-permissions", OverriddenCheckPermissions.as_view()),
    path("opened", Opened.as_view()),
    path("late-work/granted/<kind>", LateWork.as_view()),
    path("late-work/required/<kind>", required),
    path("late-work/handler/<kind>", RequiredHandler.as_view()),
    path("late-work/late/<kind>", late),
    path("late-work/keyed/<kind>", keyed),
    path("late-work/required-keyed/<kind>", required_keyed),
    path("late-work/granted-keyed/<kind>", GrantedKeyed.as_view()),
    path("about-one/<name>", about_one),
    path("about-one-or-404/<name>", about_one_or_404),
    path("about-one-late/<name>", about_one_late),
    path("by-name/<name>", ByName.as_view({"get": "retrieve"})),
]
