"""A guarded view that stops on demand: before its check, or after it with an uncommitted effect."""

from __future__ import annotations

from multiprocessing import Event, Semaphore
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore.http.authentication import AccessTokenAuthentication, DPoPAuthentication, SessionAuthentication
from securecore.http.decorators import requires
from tests.races.revocations import MAKE
from tests.support.views import make_effect


class Stop:
    """The place at which the next request stops, in any process. Setting ``go`` lets the request continue."""

    at: ClassVar[str] = ""
    _once: ClassVar[Any] = Semaphore(1)
    reached: ClassVar[Any] = Event()
    go: ClassVar[Any] = Event()

    @classmethod
    def next_at(cls, place: str) -> None:
        cls.at, cls._once, cls.reached, cls.go = place, Semaphore(1), Event(), Event()

    @classmethod
    def here(cls, place: str) -> None:
        if cls.at == place and cls._once.acquire(block=False):
            cls.reached.set()
            assert cls.go.wait(30)


def before(*_: Any, **__: Any) -> None:
    """Stop here: the request is authenticated, and its permission is not checked yet."""
    Stop.here("before")


class Pay(APIView):
    authentication_classes = (AccessTokenAuthentication, DPoPAuthentication, SessionAuthentication)

    @requires(MAKE, obj=before)
    def post(self, request: Any) -> Response:
        make_effect()
        Stop.here("inside")
        return Response(status=201)


@requires(MAKE, obj=before)
def pay_plainly(request: HttpRequest) -> HttpResponse:
    make_effect()
    Stop.here("inside")
    return HttpResponse(status=201)


@requires(MAKE, late=True)
def pay_late(request: HttpRequest) -> HttpResponse:
    make_effect()
    Stop.here("before")
    return HttpResponse(status=201)


urlpatterns = [
    path("pay", Pay.as_view()),
    path("pay/plainly", pay_plainly),
    path("pay/late", pay_late),
    path("", include("tests.tokens.urls")),
]
