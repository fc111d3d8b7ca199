"""Views of a project without the endpoints of securecore, and classes that its settings name."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore.http.backends import CertificateBackend
from securecore.http.decorators import FreshMixin, fresh, idempotent, requires
from securecore.http.middleware import SessionMiddleware
from securecore.http.problems import exception_handler


class OwnBackend(CertificateBackend):
    """A backend of a project. The check judges it by the class that it inherits from."""


class OwnSessions(SessionMiddleware):
    """A middleware of a project, which the check judges by the class that it inherits from."""


@requires("accounts.close")
def close(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@requires("accounts.close")
async def close_later(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


class CloseLater(View):
    @requires("accounts.close")
    async def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


@idempotent
def close_once(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


class Close(View):
    @requires("accounts.close")
    def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


@method_decorator(requires("accounts.close"), name="dispatch")
class CloseByDispatch(View):
    def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


def own_handler(error: Exception, context: dict[str, Any]) -> Any:
    return exception_handler(error, context)


class Payouts(APIView):
    @fresh
    def post(self, request: Request) -> Response:
        return Response()


class Transfers(FreshMixin, APIView):
    def post(self, request: Request) -> Response:
        return Response()


urlpatterns = [path("payouts", Payouts.as_view()), path("transfers", Transfers.as_view())]
