"""Read-only views of what securecore knows. Revoking goes through ``securecore.revocation``, which the admin's own
``save()`` would bypass."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from securecore.models import Certificate, Grant, Session


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Certificate)
class CertificateAdmin(ReadOnlyAdmin):
    list_display = ("subject", "user", "not_after", "revoked_at")
    search_fields = ("thumbprint", "subject")


@admin.register(Grant)
class GrantAdmin(ReadOnlyAdmin):
    list_display = ("principal", "permission", "granted_at", "revoked_at")
    search_fields = ("principal", "permission")


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    list_display = ("user", "created_at", "last_seen_at", "expires_at")
    exclude = ("data",)
