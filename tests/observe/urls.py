"""Views under protections that observe."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.http import HttpRequest, JsonResponse
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore.http.authentication import CertificateAuthentication
from securecore.http.decorators import fresh, idempotent, observe, requires
from securecore.http.permissions import GrantedView


def plain(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"made": Group.objects.create(name=request.GET.get("name", "made")).name}, status=201)


class Keyed(APIView):
    authentication_classes = (CertificateAuthentication,)
    permission_classes = ()

    @idempotent
    def post(self, request: Request) -> Response:
        Group.objects.create(name=str(dict(request.data).get("name")))
        return Response({}, status=201)


class Granted(GrantedView, APIView):
    authentication_classes = (CertificateAuthentication,)
    permission_classes = ()
    grants = {"post": "things.make"}  # noqa: RUF012

    def post(self, request: Request) -> Response:
        Group.objects.create(name=str(dict(request.data).get("name")))
        return Response({}, status=201)


@observe("permissions")
class ObservedGranted(Granted):
    pass


@observe("idempotency-keys")
class ObservedKeyed(Keyed):
    pass


@observe("freshness")
@fresh(proof="signature")
def signed(request: HttpRequest) -> JsonResponse:
    return plain(request)


urlpatterns = [
    path("requires", requires("things.make")(plain)),
    path("requires/observed", observe("permissions")(requires("things.make")(plain))),
    path("late/observed", observe("permissions")(requires("things.make", late=True)(plain))),
    path("granted", Granted.as_view()),
    path("granted/observed", ObservedGranted.as_view()),
    path("fresh", fresh(plain)),
    path("fresh/observed", observe("freshness")(fresh(plain))),
    path("signed/observed", signed),
    path("keyed", Keyed.as_view()),
    path("keyed/observed", ObservedKeyed.as_view()),
]

handler404 = "securecore.http.problems.not_found"
