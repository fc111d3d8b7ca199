"""Every route of the protected service. None has a trailing slash."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from django.views.decorators.http import require_safe

from demo_project.attacks import attack


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Report that this process answers. Needs no certificate and touches no database: a health probe has neither."""
    return JsonResponse({"status": "ok"})


urlpatterns = [
    path("healthz", healthz),
    path("", include("securecore.urls")),
    path("attacks/<str:name>", attack),
    path("", include("demo_project.payments.urls")),
]

# An API answers in one format, also where no view matches.
handler400 = "securecore.http.problems.bad_request"
handler404 = "securecore.http.problems.not_found"
