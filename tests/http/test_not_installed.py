"""A request in a project that lacks a part of securecore raises ``Misuse`` with the line to write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpResponse
from django.test import RequestFactory
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory, force_authenticate
from rest_framework.views import APIView

from securecore import grants
from securecore.errors import Misuse
from securecore.grants import principal_of
from securecore.http.authentication import AccessTokenAuthentication, CertificateAuthentication
from securecore.http.decorators import requires
from securecore.testing import MutualTLSClient


@pytest.mark.django_db
@pytest.mark.parametrize("table", ["securecore_certificate", "securecore_session"])
def test_tables_that_are_not_migrated(mtls_client: Callable[..., MutualTLSClient], table: str) -> None:
    client = mtls_client("alice")
    client.cookies["__Host-sessionid"] = "x" * 43
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO another_table")
    with pytest.raises(Misuse, match=r"manage\.py migrate --database default"):
        client.get("/auth/sessions")


class Whoami(APIView):
    authentication_classes = (AccessTokenAuthentication, CertificateAuthentication)

    def get(self, request: Any) -> Response:
        return Response({"user": request.user.get_username()})

    @requires("things.make")
    def post(self, request: Any) -> Response:
        return Response({"user": request.user.get_username()})


@requires("things.make")
def page(request: Any) -> HttpResponse:
    return HttpResponse()


@pytest.mark.parametrize("header", [{}, {"HTTP_AUTHORIZATION": "Bearer x"}])
def test_middleware_that_has_not_seen_the_request(header: Any) -> None:
    with pytest.raises(Misuse, match=r"securecore\.testing"):
        Whoami.as_view()(APIRequestFactory().get("/", **header))


def test_middleware_that_has_not_seen_the_request_of_a_plain_view(admin_user: User) -> None:
    request = RequestFactory().get("/")
    with pytest.raises(Misuse, match="AuthenticationMiddleware"):
        page(request)
    request.user = User()
    with pytest.raises(Misuse, match="no saved user"):
        page(request)


@pytest.mark.django_db(transaction=True)
def test_user_that_a_test_forces_needs_no_middleware(now: Any) -> None:
    user = User.objects.create(username="alice")
    grants.grant(principal=principal_of(user), permission="things.make", now=now)
    request = APIRequestFactory().post("/")
    force_authenticate(request, user)
    assert Whoami.as_view()(request).data == {"user": "alice"}
