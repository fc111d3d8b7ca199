"""Django's admin behind a certificate and a password, as docs/howto/admin.md describes it."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse


class CertificateAdminSite(AdminSite):
    """An admin for a user with a session and a certificate."""

    site_title = site_header = "Payments"

    def login(self, request: Any, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.certificate_user is None:  # nobody guesses passwords without a certificate
            raise PermissionDenied("The admin needs a client certificate.")
        return super().login(request, extra_context)

    def has_permission(self, request: HttpRequest) -> bool:
        certificate_user = getattr(request, "certificate_user", None)
        return super().has_permission(request) and request.user == certificate_user
