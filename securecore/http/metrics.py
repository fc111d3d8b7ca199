"""The view for Prometheus. It is not public: the caller needs the permission ``metrics.read``."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from securecore import metrics
from securecore.errors import Misuse
from securecore.http.authentication import (
    AccessTokenAuthentication,
    CertificateAuthentication,
    DPoPAuthentication,
)
from securecore.http.decorators import requires

PERMISSION = "metrics.read"


class MetricsView(APIView):
    """Return the metrics in Prometheus' text format.

    Prometheus scrapes through the proxy with a client certificate of its own. A scrape reads the database, at most once
    in ``state.SECONDS`` in each process.
    """

    authentication_classes = (AccessTokenAuthentication, DPoPAuthentication, CertificateAuthentication)
    permission_classes = ()
    throttle_classes = ()
    schema = None  # no part of the project's API

    @requires(PERMISSION)
    def get(self, request: Request) -> HttpResponse:
        if not metrics.HAS_PROMETHEUS:
            raise Misuse("Install the package for /metrics: pip install 'securecore[metrics]'.")
        body, content_type = metrics.exposition()
        return HttpResponse(body, content_type=content_type, headers={"Cache-Control": "no-store"})
