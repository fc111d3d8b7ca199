"""The page of authorizations: refresh-token families with their access tokens, by user, client and certificate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Max, Q
from django.utils.text import capfirst

from securecore import clock
from securecore.admin import columns
from securecore.admin.filters import StateFilter
from securecore.admin.forms import ReasonForm, UserField
from securecore.admin.history import Subject
from securecore.admin.operations import Change, operation
from securecore.admin.pages import OperatorPage
from securecore.admin.search import user_keys, uuid_in
from securecore.conf import settings
from securecore.incidents import doubt_about_jti, revoke_jti
from securecore.models import RefreshFamily, RefreshToken
from securecore.revocation import revoke_client_tokens, revoke_family, revoke_user_tokens
from securecore.texts import counted
from securecore.thumbprints import thumbprint_in


class FamilyState(StateFilter):
    def conditions(self) -> dict[str, Q]:
        live = Q(revoked_at=None, expires_at__gt=clock.now())
        return {"live": live, "revoked": Q(revoked_at__isnull=False), "expired": Q(expires_at__lte=clock.now())}


class RevokeTokensForm(ReasonForm):
    """The tokens of a user, of a client, or one access token."""

    user = UserField(required=False, help_text="Every token of this user, by name or e-mail address,")
    client_id = forms.CharField(required=False, max_length=128, help_text="or every token of this client,")
    jti = forms.CharField(required=False, max_length=255, help_text="or one access token, by its jti.")
    field_order = ("user", "client_id", "jti", "reason")

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and sum(bool(data.get(name)) for name in ("user", "client_id", "jti")) != 1:
            raise ValidationError("Name a user, a client, or the jti of a token: one of the three.")
        return data

    def harm(self) -> str:
        jti = self.cleaned_data["jti"]
        doubt = f" {doubt_about_jti(jti)}" if jti else ""
        return f"{capfirst(_of(self.cleaned_data))} will be refused from now on.{doubt}".rstrip()


def _of(data: dict[str, Any]) -> str:
    if data["user"] is not None:
        return f"each token of the user {data['user'].get_username()} issued until now"
    if data["client_id"]:
        return f"each token of the client {data['client_id']} issued until now"
    return f"the access token {data['jti']}"


@admin.register(RefreshFamily)
class RefreshFamilyAdmin(OperatorPage):
    list_display = ("owner", "client_id", "certificate_used", "begun", "last_refresh", "ends", "state")
    list_filter = (FamilyState,)
    list_select_related = ("user",)
    ordering = ("-expires_at",)
    search_help_text = "A user name or e-mail address, a client id, a thumbprint, or the id of an authorization."
    actions = ("revoke", "revoke_all_of_user")
    forms_alone = ("revoke_tokens",)
    fields: ClassVar[Any] = (
        "id", "owner", "client_id", "scope", "certificate_id", "binding", "rotates", "begun", "last_refresh", "ends",
        "state", "related",
    )  # fmt: skip
    readonly_fields = ("owner", "certificate_id", "begun", "last_refresh", "ends", "state", "related")

    def found_by(self, text: str) -> Q:
        found = Q(user__in=user_keys(text)) | Q(client_id=text)
        if (thumbprint := thumbprint_in(text)) is not None:
            found |= Q(certificate=thumbprint)
        if (key := uuid_in(text)) is not None:
            found |= Q(pk=key)
        return found

    def prepare(self, rows: Sequence[Any]) -> None:
        keys = [row.pk for row in rows]
        alive = RefreshFamily.objects.using(settings.DATABASE).alive(clock.now()).filter(pk__in=keys)
        are_alive = set(alive.values_list("pk", flat=True))
        tokens = RefreshToken.objects.using(settings.DATABASE).filter(family__in=keys).values("family")
        used = dict(tokens.annotate(last=Max("used_at")).values_list("family", "last"))
        for row in rows:
            row.is_alive, row.last_used_at, row.is_prepared = row.pk in are_alive, used.get(row.pk), True

    def named(self, row: Any) -> str:
        begun = f"{row.created_at:%Y-%m-%d %H:%M} UTC"
        return f"of the user {columns.user_of(row)} by the client {row.client_id}, begun {begun}"

    @admin.display(description="user")
    def owner(self, row: Any) -> Any:
        return columns.user_of(row)

    @admin.display(description="certificate")
    def certificate_used(self, row: Any) -> Any:
        return columns.short(row.certificate_id)

    @admin.display
    def begun(self, row: Any) -> Any:
        return columns.instant(row.created_at)

    @admin.display
    def last_refresh(self, row: Any) -> Any:
        return columns.instant(self.prepared(row).last_used_at)

    @admin.display
    def ends(self, row: Any) -> Any:
        return columns.instant(row.expires_at)

    @admin.display
    def state(self, row: Any) -> str:
        if row.revoked_at is not None:
            return "revoked"
        if row.expires_at <= clock.now():
            return "expired"
        return "live" if self.prepared(row).is_alive else "refused"  # its client or certificate is

    @admin.display(description="see also")
    def related(self, row: Any) -> Any:
        return columns.links(self.admin_site, row.user.get_username(), "sessions", "authorizations", "grants", "audit")

    @operation(
        "Revoke",
        permission="delete",
        consequence="Each refresh token and access token of the authorization is refused from now on, on every host. "
        "The user may authorize the client again.",
    )
    def revoke(self, change: Change) -> str:
        return change.report(lambda row: revoke_family(row.pk), "authorization", "revoked")

    @operation(
        "Revoke every token of their users",
        permission="delete",
        consequence="Every token of the users of these authorizations that was issued until now is refused, by any "
        "client, also the tokens without a refresh token.",
    )
    def revoke_all_of_user(self, change: Change) -> str:
        users = {row.user_id: row for row in change.rows}
        change.rows = list(users.values())
        count = change.each(lambda row: revoke_user_tokens(row.user))
        return f"Every token of {counted(count, 'user')} was revoked."

    @operation(
        "Revoke tokens",
        permission="delete",
        consequence="Access tokens are not stored, so this form names them by their user, client or jti. They are "
        "refused from now on, on every host; new tokens may be issued.",
        form=RevokeTokensForm,
        needs_rows=False,
    )
    def revoke_tokens(self, change: Change) -> str:
        data = change.data
        with change.of(Subject(RefreshFamily, _of(data))):
            if data["user"] is not None:
                revoke_user_tokens(data["user"])
            elif data["client_id"]:
                revoke_client_tokens(data["client_id"])
            else:
                revoke_jti(data["jti"])
        return f"Refused from now on: {_of(data)}."
