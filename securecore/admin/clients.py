"""The page of OAuth clients: register, disable, enable, lock out, revoke their tokens."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q

from securecore import clock
from securecore.admin import columns
from securecore.admin.filters import StateFilter
from securecore.admin.forms import ReasonForm, UserField
from securecore.admin.locking import LockForm, lock_out_each
from securecore.admin.operations import Change, operation
from securecore.admin.pages import OperatorPage
from securecore.admin.search import user_keys
from securecore.conf import settings
from securecore.errors import Misuse
from securecore.grants import principals
from securecore.models import Client
from securecore.revocation import disable_client, revoke_client_tokens
from securecore.texts import counted
from securecore.tokens import clients


class ClientState(StateFilter):
    def conditions(self) -> dict[str, Q]:
        return {"all": Q(), "enabled": Q(disabled_at=None), "disabled": Q(disabled_at__isnull=False)}


class RegisterForm(ReasonForm):
    client_id = forms.CharField(max_length=128)
    user = UserField(help_text="The user of the client's own tokens, by name or e-mail address.")
    certificate_name = forms.CharField(
        required=False,
        max_length=512,
        help_text="subject_dn:CN=..., DNS:, URI:, email: or IP:. Empty: the certificates enrolled for the user.",
        widget=forms.TextInput(attrs={"size": 60}),
    )
    scope = forms.CharField(required=False, help_text="Values that the client may request, separated by blanks.")
    may_introspect = forms.BooleanField(required=False, help_text="Let it introspect the tokens of other clients.")
    rotates_refresh_tokens = forms.BooleanField(required=False, help_text="Replace a refresh token at each use.")
    field_order = ("client_id", "user", "certificate_name", "scope", "may_introspect", "rotates_refresh_tokens")

    def clean_certificate_name(self) -> str:
        name: str = self.cleaned_data["certificate_name"]
        return clients.check_name(name) if name else ""

    def clean_client_id(self) -> str:
        client_id: str = self.cleaned_data["client_id"]
        if Client.objects.using(settings.DATABASE).filter(pk=client_id).exists():
            raise ValidationError("A client with this id is registered already.")
        return client_id


@admin.register(Client)
class ClientAdmin(OperatorPage):
    list_display = ("client_id", "owner", "proof", "state", "created", "scope")
    list_filter = (ClientState,)
    list_select_related = ("user",)
    ordering = ("client_id",)
    text_fields = ("client_id", "certificate_name")
    search_help_text = "A client id, a user name or e-mail address, or a part of an id or of a certificate name."
    actions = ("disable", "enable", "lock_out", "revoke_tokens")
    forms_alone = ("add",)
    fields: ClassVar[Any] = (
        "client_id", "owner", "certificate_name", "scope", "may_introspect", "rotates_refresh_tokens", "state",
        "created", "related",
    )  # fmt: skip
    readonly_fields = ("owner", "state", "created", "related")

    def found_by(self, text: str) -> Q:
        return Q(pk=text) | Q(user__in=user_keys(text))

    def named(self, row: Any) -> str:
        return f"{row.client_id}, acts as {columns.user_of(row)}, {self.state(row)}"

    @admin.display(description="acts as")
    def owner(self, row: Any) -> Any:
        return columns.user_of(row)

    @admin.display(description="proved by")
    def proof(self, row: Any) -> str:
        return row.certificate_name[:60] or "certificates of the user"

    @admin.display
    def state(self, row: Any) -> str:
        return f"disabled {row.disabled_at:%Y-%m-%d}" if row.disabled_at else "enabled"

    @admin.display
    def created(self, row: Any) -> Any:
        return columns.instant(row.created_at)

    @admin.display(description="see also")
    def related(self, row: Any) -> Any:
        return columns.links(self.admin_site, row.client_id, "authorizations", "grants", "lockouts", "audit")

    @operation(
        "Disable",
        permission="delete",
        consequence="The client is refused from now on, and all its tokens and authorizations end. Enabled again, it "
        "needs new tokens.",
    )
    def disable(self, change: Change) -> str:
        return change.report(lambda row: disable_client(row.pk), "client", "disabled")

    @operation(
        "Enable",
        permission="change",
        consequence="A disabled client is accepted again. Its earlier tokens stay revoked.",
    )
    def enable(self, change: Change) -> str:
        return change.report(lambda row: clients.enable(row.pk), "client", "enabled")

    @operation(
        "Lock out for a time",
        permission="add_lockout",
        consequence="Each request of the client is refused until the end of the lockout. Its tokens stay, and work "
        "again afterwards.",
        form=LockForm,
    )
    def lock_out(self, change: Change) -> str:
        return lock_out_each(change, lambda row: principals.service(row.pk))

    @operation(
        "Revoke their tokens",
        permission="change",
        consequence="Each token and authorization of the client that was issued until now is refused. The client may "
        "get new tokens at once.",
    )
    def revoke_tokens(self, change: Change) -> str:
        count = change.each(lambda row: revoke_client_tokens(row.pk))
        return f"The tokens of {counted(count, 'client')} were revoked."

    @operation(
        "Register a client",
        permission="add",
        consequence="A client authenticates by its certificate, and gets tokens for its user.",
        form=RegisterForm,
        needs_rows=False,
    )
    def add(self, change: Change) -> str:
        data = {name: value for name, value in change.data.items() if name != "reason"}
        rows = Client.objects.using(settings.DATABASE)
        with change.making(lambda _: rows.filter(pk=data["client_id"]).first()):
            try:
                clients.register(now=clock.now(), **data)
            except ValidationError as error:
                raise Misuse(" ".join(error.messages)) from None
        return f"The client {data['client_id']} is registered."
