"""drf-idem, set up as in its manual, around a view that writes a row."""

from __future__ import annotations

import uuid
from typing import Any

from tests.scanner.peers import project

project.configure(
    __name__,
    MIDDLEWARE=["drf_idem.middleware.IdempotencyMiddleware"],
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "drf_idem": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "drf-idem"},
    },
)

from django.contrib.auth.models import User  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402


class Payments(APIView):
    authentication_classes = ()

    def get(self, request: Any) -> Response:
        return Response({"count": User.objects.filter(first_name=request.query_params["memo"]).count()})

    def post(self, request: Any) -> Response:
        memo = request.data["memo"]
        made = User.objects.create(username=f"{memo}-{uuid.uuid4()}"[:150], first_name=memo)
        return Response({"id": made.pk}, status=201)


urlpatterns = [path("payments", Payments.as_view())]
application = project.application()
