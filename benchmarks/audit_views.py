"""The views of ``audit_cost``: idempotent POSTs with and without an audit row, and a GET."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import Group
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from securecore import audit, clock, grants
from securecore.events import GrantGiven
from securecore.http.decorators import idempotent


def effect() -> JsonResponse:
    return JsonResponse({"name": Group.objects.create(name=str(uuid.uuid4())).name}, status=201)


@csrf_exempt
@idempotent
def plain(request: HttpRequest) -> JsonResponse:
    return effect()


@csrf_exempt
@idempotent
def audited(request: HttpRequest) -> JsonResponse:
    response = effect()
    audit.write(GrantGiven(principal="user:1", permission="transfers.create"))
    return response


@csrf_exempt
@idempotent
def granting(request: HttpRequest) -> JsonResponse:
    name = f"service:{uuid.uuid4()}"
    grants.grant(principal=name, permission="transfers.create", now=clock.now())
    return JsonResponse({"principal": name}, status=201)


def get(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"user": str(request.user.pk)})


urlpatterns = [path("plain", plain), path("audited", audited), path("granting", granting), path("get", get)]
