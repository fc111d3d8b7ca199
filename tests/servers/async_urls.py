"""``async def`` views under each decorator. Each call that is allowed to makes one ``Group``, by the async ORM."""

from __future__ import annotations

import asyncio
import threading
import uuid
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from rest_framework.decorators import api_view
from rest_framework.views import APIView

from securecore.http.caching import public_response
from securecore.http.decorators import fresh, idempotency_exempt, idempotent, recently_authenticated, requires
from securecore.http.permissions import authorize
from tests.support.views import OutOfPaper, make_effect

MAKE = "things.make"
#: Set by the view that waits for its client to hang up.
is_waiting = threading.Event()


async def effect(request: HttpRequest) -> HttpResponse:
    """Make the effect, fail if the request demands it, and report whether the effect is inside a transaction."""
    group = await Group.objects.acreate(name=str(uuid.uuid4()))
    await asyncio.sleep(0)
    outcome = request.GET.get("outcome", "")
    if outcome == "broken":
        raise ZeroDivisionError
    if outcome == "refused":
        raise OutOfPaper
    if outcome == "wait":
        is_waiting.set()
        await asyncio.sleep(30)
    is_atomic = await sync_to_async(lambda: connection.in_atomic_block)()
    status = int(request.GET.get("status", "201"))
    return JsonResponse({"name": group.name, "is_atomic": is_atomic}, status=status)


@csrf_exempt
@requires(MAKE)
async def required(request: HttpRequest) -> HttpResponse:
    return await effect(request)


@csrf_exempt
@requires(MAKE, late=True)
async def late(request: HttpRequest) -> HttpResponse:
    return await effect(request)


@csrf_exempt
@idempotent
async def keyed(request: HttpRequest) -> HttpResponse:
    return await effect(request)


@csrf_exempt
@idempotent(lease=30)
async def leased(request: HttpRequest) -> HttpResponse:
    return await effect(request)


@csrf_exempt
@requires(MAKE)
@idempotent
async def both(request: HttpRequest) -> HttpResponse:
    return await effect(request)


@csrf_exempt
@fresh
async def once(request: HttpRequest) -> HttpResponse:
    return await effect(request)


@csrf_exempt
@fresh
@requires(MAKE)
@idempotent
async def every(request: HttpRequest) -> HttpResponse:
    return await effect(request)


@csrf_exempt
@recently_authenticated(within=60)
async def recent(request: HttpRequest) -> HttpResponse:
    return await effect(request)


@csrf_exempt
@idempotency_exempt
async def exempt(request: HttpRequest) -> HttpResponse:
    return await effect(request)


@public_response
async def public(request: HttpRequest) -> HttpResponse:
    return HttpResponse(headers={"Cache-Control": "public, max-age=60"})


@csrf_exempt
async def by_hand(request: HttpRequest) -> HttpResponse:
    """Open the gate on the thread of the event loop, which is Misuse."""
    with authorize(request, MAKE):
        return await effect(request)


@csrf_exempt
async def by_hand_on_a_thread(request: HttpRequest) -> HttpResponse:
    def pay() -> str:
        with authorize(request, MAKE):
            return make_effect()

    return JsonResponse({"name": await sync_to_async(pay)()}, status=201)


def synchronous(request: HttpRequest) -> HttpResponse:
    name = make_effect()
    if request.GET.get("outcome") == "broken":
        raise ZeroDivisionError
    return JsonResponse({"name": name}, status=201)


class Handler(View):
    async def post(self, request: HttpRequest) -> HttpResponse:
        return await effect(request)


class RequiredHandler(View):
    @requires(MAKE)
    async def post(self, request: HttpRequest) -> HttpResponse:
        return await effect(request)


@method_decorator(csrf_exempt, name="dispatch")
@method_decorator([fresh, requires(MAKE)], name="dispatch")
class DecoratedDispatch(View):
    async def post(self, request: HttpRequest) -> HttpResponse:
        return await effect(request)


class OwnDispatch(View):
    @requires(MAKE)
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return super().dispatch(request, *args, **kwargs)

    async def post(self, request: HttpRequest) -> HttpResponse:
        return await effect(request)


@idempotent
class KeyedClass(View):
    async def post(self, request: HttpRequest) -> HttpResponse:
        return await effect(request)


class RestHandler(APIView):
    @requires(MAKE)
    async def post(self, request: Any) -> HttpResponse:
        return await effect(request)

    def get(self, request: Any) -> HttpResponse:
        return HttpResponse()


@api_view(["POST"])  # type: ignore[type-var]  # the types of REST framework know no coroutine
@requires(MAKE)
async def rest_function(request: Any) -> HttpResponse:
    return await effect(request)


async def log_in(request: Any) -> HttpResponse:
    """Django's own functions, on the session engine of securecore."""
    from django.contrib.auth import alogin

    await request.session.aset("before", "kept")
    await alogin(request, request.certificate_user, "django.contrib.auth.backends.ModelBackend")
    await cache.aset("async", request.session.session_key)
    return HttpResponse()


async def log_out(request: Any) -> HttpResponse:
    from django.contrib.auth import alogout

    await alogout(request)
    return HttpResponse()


async def me(request: Any) -> HttpResponse:
    user = await request.auser()
    return JsonResponse({"user": user.get_username(), "before": await request.session.aget("before")})


def tell_whether_a_view_waits(request: HttpRequest) -> HttpResponse:
    return JsonResponse(is_waiting.is_set(), safe=False)


urlpatterns = [
    path("is-waiting", tell_whether_a_view_waits),
    path("required", required),
    path("late", late),
    path("keyed", keyed),
    path("leased", leased),
    path("both", both),
    path("once", once),
    path("every", every),
    path("recent", recent),
    path("exempt", exempt),
    path("public", public),
    path("by-hand", by_hand),
    path("by-hand-on-a-thread", by_hand_on_a_thread),
    path("handler", csrf_exempt(Handler.as_view())),
    path("required-handler", csrf_exempt(RequiredHandler.as_view())),
    path("decorated-dispatch", DecoratedDispatch.as_view()),
    path("own-dispatch", csrf_exempt(OwnDispatch.as_view())),
    path("keyed-class", csrf_exempt(KeyedClass.as_view())),
    path("rest-function", rest_function),
    path("thread", csrf_exempt(requires(MAKE)(synchronous))),
    path("thread-keyed", csrf_exempt(requires(MAKE)(idempotent(synchronous)))),
    path("log-in", csrf_exempt(log_in)),
    path("log-out", csrf_exempt(log_out)),
    path("me", me),
    path("", include("tests.http.urls")),
    path("", include("tests.replay.urls")),
]
