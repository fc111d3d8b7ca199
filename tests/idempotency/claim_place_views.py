"""Views with a check in each place where a check can stand. Each view has an effect that can be counted."""

from __future__ import annotations

from functools import partial, update_wrapper, wraps
from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import cache_page
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from rest_framework.decorators import action, api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from securecore.http.decorators import fresh, idempotency_exempt, idempotent, recently_authenticated, requires
from tests.idempotency.async_claim_views import AsyncDecorated, AsyncHandler, async_view, async_with_wraps
from tests.support.views import make_effect


def plain(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"name": make_effect()}, status=201)


def is_allowed(request: Any) -> bool:
    return "let-me-in" in request.GET


def with_wraps(view: Any) -> Any:
    @wraps(view)
    def check(*args: Any) -> Any:
        return view(*args) if is_allowed(args[-1]) else HttpResponse(status=403)

    return check


def without_wraps(view: Any) -> Any:
    def check(*args: Any) -> Any:
        return view(*args) if is_allowed(args[-1]) else HttpResponse(status=403)

    return check


def with_the_name(view: Any) -> Any:
    """Copy the name by hand, as decorators did before ``functools.wraps``."""
    check = without_wraps(view)
    check.__name__ = view.__name__
    return check


def of_the_same_name(view: Any) -> Any:
    def post(*args: Any) -> Any:
        return view(*args) if is_allowed(args[-1]) else HttpResponse(status=403)

    return post


def with_every_name(view: Any) -> Any:
    check = with_the_name(view)
    check.__qualname__ = view.__qualname__
    return check


def raising(view: Any) -> Any:
    @wraps(view)
    def check(request: HttpRequest) -> Any:
        if is_allowed(request):
            return view(request)
        raise PermissionError

    return check


class CheckObject:
    def __init__(self, view: Any) -> None:
        self.view = view

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return without_wraps(self.view)(request)  # type: ignore[no-any-return]

    @csrf_exempt
    def method(self, request: HttpRequest) -> HttpResponse:
        return self(request)


class Handler(APIView):
    """A class without a decorator; ``Copy`` creates one for each URL."""

    def post(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201)


def copy_of(cls: Any) -> Any:
    """Create a class with the handlers of ``cls``, so that each decoration changes its own class."""
    return type(cls.__name__, (cls,), {})


def handled_by(decorator: Any, base: Any = APIView) -> Any:
    """Create a class-based view with a decorator on its handler."""

    class Decorated(base):  # type: ignore[misc]
        @decorator  # type: ignore[untyped-decorator]
        def post(self, request: Any) -> Any:
            return JsonResponse({"name": make_effect()}, status=201)

    return Decorated


class Assigned(APIView):
    """The handler was defined elsewhere, so the class does not define it."""

    post = without_wraps(Handler.post)


class Alias(APIView):
    def create(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201)

    post = create


class InitialisedHandler(View):
    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self.post = without_wraps(plain)


class DispatchOnly(View):
    """The effect is in ``dispatch()``, which calls no handler."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return plain(request)


class Calling(APIView):
    """Its handler calls another view with the same request."""

    def post(self, request: Any) -> Any:
        return Inner.as_view()(request._request)


class Inner(View):
    def post(self, request: HttpRequest) -> HttpResponse:
        return plain(request)


class Actions(ViewSet):
    def create(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201)

    @action(detail=False, methods=["post"])
    def extra(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201)

    @action(detail=False, methods=["post"])
    @with_wraps
    def checked(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201)

    @action(detail=False, methods=["post"])
    @with_wraps
    @idempotent
    def declared(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201)


@idempotent(retention=5)
class Base(APIView):
    def post(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=201)


class Derived(Base):
    """It inherits the declaration, although ``dispatch`` is its own."""

    def dispatch(self, *args: Any, **kwargs: Any) -> Any:
        return super().dispatch(*args, **kwargs)


@idempotent(retention=9)
class Redeclared(Base):
    pass


def as_view(cls: Any) -> Any:
    return csrf_exempt(cls.as_view())


def partial_with_attributes(view: Any) -> Any:
    return update_wrapper(partial(without_wraps(view)), view)


#: A place that is not known: the key is refused, and no check is skipped.
REFUSED: dict[str, Any] = {
    "function": csrf_exempt(plain),
    "csrf-protect": csrf_protect(plain),
    "login": csrf_exempt(login_required(plain)),
    "permission": csrf_exempt(permission_required("x.y")(plain)),
    "cache": csrf_exempt(cache_page(60)(plain)),
    "wraps": csrf_exempt(with_wraps(plain)),
    "closure": csrf_exempt(without_wraps(plain)),
    "partial": csrf_exempt(partial(without_wraps(plain))),
    "partial-with-attributes": csrf_exempt(partial_with_attributes(plain)),
    "object": csrf_exempt(CheckObject(plain).__call__),
    "method": CheckObject(plain).method,
    "hidden-idempotent": csrf_exempt(without_wraps(idempotent(plain))),
    "partial-idempotent": csrf_exempt(partial(idempotent(plain))),
    "requires": csrf_exempt(requires("things.make")(plain)),
    "fresh": csrf_exempt(fresh(plain)),
    "recent": csrf_exempt(recently_authenticated(within=60)(plain)),
    "async": csrf_exempt(async_view),
    "api-view": api_view(["POST"])(plain),
    "api-view-login": api_view(["POST"])(login_required(plain)),
    "api-view-idempotent": api_view(["POST"])(idempotent(plain)),
    "class-without-wraps": csrf_exempt(without_wraps(Handler.as_view())),
    "handler-wraps": as_view(handled_by(with_wraps)),
    "handler-closure": as_view(handled_by(without_wraps)),
    "handler-name": as_view(handled_by(with_the_name)),
    "handler-every-name": as_view(handled_by(with_every_name)),
    "handler-same-name": as_view(handled_by(of_the_same_name)),
    "handler-login": as_view(handled_by(method_decorator(login_required), View)),
    "handler-requires": as_view(handled_by(requires("things.make"))),
    "handler-partial": as_view(handled_by(lambda view: staticmethod(partial(without_wraps(view), None)))),
    "handler-object": as_view(handled_by(CheckObject)),
    "handler-assigned": Assigned.as_view(),
    "handler-initialised": as_view(InitialisedHandler),
    "handler-async-wraps": as_view(AsyncDecorated),
    "declared-class-wraps": as_view(idempotent(handled_by(with_wraps))),
    "declared-class-closure": as_view(idempotent(handled_by(without_wraps))),
    "declared-class-every-name": as_view(idempotent(handled_by(with_every_name))),
    "declared-class-login": as_view(idempotent(handled_by(method_decorator(login_required), View))),
    "dispatch-only": as_view(DispatchOnly),
}
#: A known place: the key has one effect, and a replay passes the check again.
SERVED: dict[str, Any] = {
    "wraps": csrf_exempt(with_wraps(idempotent(plain))),
    "raising": csrf_exempt(raising(idempotent(plain))),
    "cache": csrf_exempt(cache_page(60)(with_wraps(idempotent(plain)))),
    "object": csrf_exempt(update_wrapper(CheckObject(idempotent(plain)), idempotent(plain))),
    "class": csrf_exempt(with_wraps(Handler.as_view())),
    "class-declared": csrf_exempt(with_wraps(Base.as_view())),
    "dispatch": method_decorator(with_wraps, name="dispatch")(copy_of(Handler)).as_view(),
    "dispatch-of-declared": method_decorator(with_wraps, name="dispatch")(copy_of(Base)).as_view(),
    "handler-async": csrf_exempt(async_with_wraps(AsyncHandler.as_view())),
    "handler-async-declared": csrf_exempt(async_with_wraps(idempotent(copy_of(AsyncHandler)).as_view())),
    "async-idempotent": csrf_exempt(async_with_wraps(idempotent(async_view))),
    "handler": as_view(handled_by(lambda post: with_wraps(idempotent(post)))),
    "handler-of-declared": as_view(idempotent(handled_by(lambda post: with_wraps(idempotent(post))))),
    "action": csrf_exempt(with_wraps(Actions.as_view({"post": "extra"}))),
    "action-declared": Actions.as_view({"post": "declared"}),
    "alias": csrf_exempt(with_wraps(Alias.as_view())),
    "calling": csrf_exempt(with_wraps(Calling.as_view())),
    "derived": csrf_exempt(with_wraps(Derived.as_view())),
    "redeclared": csrf_exempt(with_wraps(Redeclared.as_view())),
    "api-view": csrf_exempt(
        with_wraps(idempotency_exempt(api_view(["POST"])(permission_classes([IsAuthenticated])(idempotent(plain)))))
    ),
}

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("actions", Actions, basename="actions")

urlpatterns = [
    *(path(f"refused/{name}", view) for name, view in REFUSED.items()),
    *(path(f"served/{name}", view) for name, view in SERVED.items()),
    path("inner", as_view(Inner)),
    path("method-decorator/post", as_view(method_decorator(idempotent, name="post")(copy_of(Handler)))),
    path("method-decorator/dispatch", as_view(method_decorator(idempotent, name="dispatch")(copy_of(Handler)))),
    path("", include(router.urls)),
]
