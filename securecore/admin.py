"""Admin pages for certificates, grants, sessions, signature keys and the audit. Almost all fields are read-only.

The revoking actions call ``securecore.revocation``, because the admin's own ``save()`` would skip gates and events.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils.decorators import method_decorator

from securecore import audit, clock, events
from securecore.conf import settings
from securecore.control_room.page import ControlRoomAdmin  # noqa: F401 - registers the control room
from securecore.errors import Misuse
from securecore.grants import principal_of
from securecore.http.edge.transactions import outside_transactions
from securecore.identity import admit
from securecore.models import AuditRow, Certificate, Grant, RefusalCount, Session, SignatureKey
from securecore.replay import signature_keys
from securecore.revocation import end_selected_sessions, revoke_certificate, revoke_signature_key
from securecore.thumbprints import thumbprint_in


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    @method_decorator(outside_transactions)
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Show the list and run its actions. A revoking action commits before the response."""
        return super().changelist_view(request, extra_context)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Certificate)
class CertificateAdmin(ReadOnlyAdmin):
    """Read-only, except the user of a pending certificate: saving the user admits the certificate."""

    list_display = ("subject", "issuer", "matched_by", "user", "not_after", "enrolled_at", "revoked_at")
    list_filter = (
        "matched_by",
        ("enrolled_at", admin.EmptyFieldListFilter),
        ("revoked_at", admin.EmptyFieldListFilter),
    )
    list_select_related = ("user",)
    search_fields = ("thumbprint", "subject", "issuer")
    #: Used where the project has no admin page of users to search in.
    raw_id_fields = ("user",)
    actions = ("revoke",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).using(settings.DATABASE)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Find a certificate by its thumbprint in each spelling, for example that of ``openssl x509 -fingerprint``."""
        return super().get_search_results(request, queryset, thumbprint_in(search_term) or search_term)

    def get_autocomplete_fields(self, request: HttpRequest) -> Any:
        """Search for the user, if the project has registered the user model with ``search_fields``."""
        users = self.admin_site._registry.get(Certificate._meta.get_field("user").related_model)
        return ("user",) if users is not None and users.get_search_fields(request) else ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow users with ``securecore.change_certificate`` to change a pending certificate.

        An enrolled certificate has sessions and tokens, which would pass to another user with it.
        """
        may = request.user.has_perm("securecore.change_certificate")
        return may and (obj is None or (obj.user_id is None and obj.enrolled_at is None and obj.revoked_at is None))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [field.name for field in Certificate._meta.fields if field.name != "user"]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if obj.user is None:
            return
        if not admit(thumbprint=obj.pk, user=obj.user, now=clock.now()):
            self.message_user(request, "Another operator has decided about this certificate already.", messages.ERROR)
            return

    @admin.action(description="Revoke the selected certificates", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: Any) -> None:
        for thumbprint in queryset.values_list("pk", flat=True):
            revoke_certificate(thumbprint=thumbprint)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Allow the action to users with Django's permission ``securecore.delete_certificate``."""
        return request.user.has_perm("securecore.delete_certificate")


@admin.register(Grant)
class GrantAdmin(ReadOnlyAdmin):
    list_display = (
        "principal",
        "permission",
        "object_type",
        "object_id",
        "denies",
        "valid_until",
        "granted_at",
        "revoked_at",
    )
    list_filter = ("denies",)
    search_fields = ("principal", "permission", "object_id")


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    list_display = ("user", "device", "address", "certificate", "created_at", "last_seen_at", "expires_at")
    list_select_related = ("user",)
    search_fields = ("certificate", "address", "device")
    date_hierarchy = "created_at"
    exclude = ("data", "predecessor")
    actions = ("end_sessions",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).using(settings.DATABASE).live(clock.now())  # type: ignore[attr-defined]

    @admin.action(description="End the selected sessions", permissions=["end"])
    def end_sessions(self, request: HttpRequest, queryset: Any) -> None:
        count = end_selected_sessions(queryset, reason=f"by the administrator {principal_of(request.user)}")
        self.message_user(request, f"{count} sessions were ended.")

    def has_end_permission(self, request: HttpRequest) -> bool:
        """Allow the action to users with Django's permission ``securecore.delete_session``."""
        return request.user.has_perm("securecore.delete_session")


@admin.register(AuditRow)
class AuditAdmin(ReadOnlyAdmin):
    """The audit, searched by whole values, so that each search uses an index."""

    list_display = ("at", "event", "subject", "actor_kind", "actor", "address", "request_id", "reason")
    search_fields = ("subject__exact", "actor__exact", "request_id__exact", "event__exact")
    search_help_text = "A user name, a principal (user:7), certificate:THUMBPRINT, an event, or a request id."
    ordering = ("-id",)
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).using(settings.DATABASE)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Find the rows of a user by the user's name, and those of a certificate by its bare thumbprint."""
        users = get_user_model()
        if (named := thumbprint_in(search_term)) is not None:
            search_term = f"certificate:{named}"
        else:
            user = users._default_manager.filter(**{users.USERNAME_FIELD: search_term}).first()
            search_term = search_term if user is None else str(principal_of(user))
        return super().get_search_results(request, queryset, search_term)


@admin.register(RefusalCount)
class RefusalCountAdmin(ReadOnlyAdmin):
    list_display = ("minute", "code", "reason", "route", "actor", "count")
    search_fields = ("code__exact", "actor__exact")
    ordering = ("-minute",)
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).using(settings.DATABASE)


class SignatureKeyForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    class Meta:
        model = SignatureKey
        fields = ("keyid", "user", "public_key")

    def clean_public_key(self) -> str:
        try:
            return signature_keys.checked(self.cleaned_data["public_key"])
        except Misuse as error:
            raise ValidationError(str(error)) from error


@admin.register(SignatureKey)
class SignatureKeyAdmin(ReadOnlyAdmin):
    """Register and revoke keys. A key is never changed: its earlier signatures would then name another key or user."""

    form = SignatureKeyForm
    list_display = ("keyid", "user", "registered_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("keyid",)
    raw_id_fields = ("user",)
    actions = ("revoke_keys",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("securecore.add_signaturekey")

    def save_model(self, request: HttpRequest, obj: SignatureKey, form: Any, change: bool) -> None:
        obj.registered_at = clock.now()
        with transaction.atomic(using=settings.DATABASE):
            obj.save(using=settings.DATABASE, force_insert=True)
            audit.report(events.SignatureKeyRegistered(keyid=obj.keyid, user=obj.user.get_username()))

    @admin.action(description="Revoke the selected keys", permissions=["revoke"])
    def revoke_keys(self, request: HttpRequest, queryset: Any) -> None:
        keys = [key.keyid for key in queryset if revoke_signature_key(key.keyid)]
        self.message_user(request, f"{len(keys)} keys were revoked.")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Allow the action to users with Django's permission ``securecore.delete_signaturekey``."""
        return request.user.has_perm("securecore.delete_signaturekey")
