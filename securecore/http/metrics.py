"""The view for Prometheus. It is not public: the caller needs the permission ``metrics.read``."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from securecore import metrics
from securecore.errors import Misuse
from securecore.http.decorators import requires

PERMISSION = "metrics.read"


@require_safe
@requires(PERMISSION)
def metrics_view(request: HttpRequest) -> HttpResponse:
    """Return the metrics in Prometheus' text format. Raises ``Misuse`` without the extra ``metrics``.

    Prometheus scrapes through the proxy with a client certificate of its own. A scrape reads the database, at most once
    in 30 s in each process.
    """
    if not metrics.HAS_PROMETHEUS:
        raise Misuse("Install the package for /metrics: pip install 'securecore[metrics]'.")
    body, content_type = metrics.exposition()
    return HttpResponse(body, content_type=content_type, headers={"Cache-Control": "no-store"})
