"""Views that answer in unusual ways, and views that handle database errors themselves."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.decorators import action
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from securecore.http.decorators import idempotent, requires
from securecore.http.permissions import GrantedView
from tests.support.views import make_effect


def odd(request: HttpRequest) -> HttpResponse:
    kind = request.GET["kind"]
    name = make_effect()
    if kind == "phrase":
        return HttpResponse(name, status=201, reason="Paid")
    if kind == "no-type":
        response = HttpResponse(name)
        del response["Content-Type"]
        return response
    if kind == "redirect":
        return HttpResponseRedirect(f"/{name}")
    if kind == "accepted":
        return JsonResponse({"name": name}, status=202, headers={"Retry-After": "30"})
    if kind == "bytes":
        return HttpResponse(b"\xff\x00\n", content_type="application/octet-stream", headers={"X-Name": name})
    if kind == "charset":
        return HttpResponse("ä", content_type="text/plain; charset=latin-1", headers={"ETag": '"x"', "Vary": "Accept"})
    return HttpResponse(status=204)


class Rest(APIView):
    @idempotent
    def delete(self, request: Any) -> Response:
        make_effect()
        return Response(status=204)

    @idempotent
    def put(self, request: Any) -> Response:
        return Response({"name": make_effect()}, status=200, headers={"X-Kind": "a"})


@idempotent
class Actions(ViewSet):
    @action(detail=True, methods=["post"])
    def pay(self, request: Any, pk: str) -> Response:
        return Response({"name": make_effect(), "of": pk}, status=201, content_type="application/vnd.paid+json")


def caught(request: Any) -> HttpResponse:
    """Catch the database's error, and go on as the request demands."""
    Group.objects.get_or_create(name="taken")
    make_effect()
    how = request.GET["how"]
    try:
        if how == "savepoint":
            with transaction.atomic():
                Group.objects.create(name="taken")
        elif how == "sql":
            connection.cursor().execute("INSERT INTO auth_group (name) VALUES ('taken')")
        elif how == "update":
            Group.objects.exclude(name="taken").update(name="taken")
        else:
            Group.objects.create(name="taken")
    except IntegrityError:
        status = int(request.GET["status"])
        if how == "query":
            Group.objects.get(name="taken")
        return JsonResponse({"is": "taken"}, status=status)
    raise AssertionError


class Caught(APIView):
    @idempotent
    def post(self, request: Any) -> HttpResponse:
        return caught(request)


class CaughtUnderRequires(APIView):
    @requires("things.make")
    @idempotent
    def post(self, request: Any) -> HttpResponse:
        return caught(request)


class Durable(APIView):
    @idempotent
    def post(self, request: Any) -> Response:
        with transaction.atomic(durable=True):
            return Response({"name": make_effect()})


class DurableUnderRequires(APIView):
    @requires("things.make")
    def post(self, request: Any) -> Response:
        with transaction.atomic(durable=True):
            return Response({"name": make_effect()})


class DurableGranted(GrantedView, APIView):
    grants: ClassVar = {"post": "things.make"}

    def post(self, request: Any) -> Response:
        with transaction.atomic(durable=True):
            return Response({"name": make_effect()})


class Upload(APIView):
    parser_classes = (MultiPartParser, FormParser, JSONParser)

    def post(self, request: Any) -> Response:
        file = request.FILES["file"]
        make_effect()
        return Response({"size": file.size, "name": file.name, "note": request.data["note"]}, status=201)


class UploadHandler(Upload):
    @idempotent
    def post(self, request: Any) -> Response:
        return super().post(request)


@idempotent
class UploadClass(Upload):
    pass


@csrf_exempt
@idempotent
def upload_function(request: HttpRequest) -> HttpResponse:
    file: Any = request.FILES["file"]
    name = Group.objects.create(name=str(uuid.uuid4())).name
    return JsonResponse({"size": file.size, "name": name, "note": request.POST["note"]}, status=201)


urlpatterns = [
    path("odd", csrf_exempt(idempotent(odd))),
    path("rest", Rest.as_view()),
    path("things/<pk>/pay", Actions.as_view({"post": "pay"})),
    path("caught", Caught.as_view()),
    path("caught/required", CaughtUnderRequires.as_view()),
    path("durable", Durable.as_view()),
    path("durable/required", DurableUnderRequires.as_view()),
    path("durable/granted", DurableGranted.as_view()),
    path("upload/handler", UploadHandler.as_view()),
    path("upload/class", UploadClass.as_view()),
    path("upload/function", upload_function),
]
