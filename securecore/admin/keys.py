"""The pages of keys: those that sign access tokens, and the registered ones that sign requests of users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q

from securecore import clock
from securecore.admin import columns
from securecore.admin.filters import StateFilter
from securecore.admin.forms import ReasonForm, UserField
from securecore.admin.operations import Change, operation
from securecore.admin.pages import OperatorPage
from securecore.admin.search import user_keys
from securecore.conf import settings
from securecore.errors import Misuse
from securecore.models import SignatureKey, SigningKey
from securecore.replay import signature_keys
from securecore.revocation import retire_key, revoke_signature_key
from securecore.tokens import keys

#: Seconds: twice the time for which other services may cache the key set (http/oauth/metadata.py).
_LEAD = 600


class SigningKeyState(StateFilter):
    def conditions(self) -> dict[str, Q]:
        now = clock.now()
        return {"verifies": Q(expires_at=None) | Q(expires_at__gt=now), "expired or retired": Q(expires_at__lte=now)}


class RotateForm(ReasonForm):
    algorithm = forms.ChoiceField(choices=[(name, name) for name in ("ES256", "EdDSA", "PS256", "RS256")])
    lead = forms.IntegerField(
        initial=_LEAD,
        min_value=0,
        max_value=31_536_000,
        help_text="Seconds for which the new key is published before it signs. The first key signs at once.",
    )
    field_order = ("algorithm", "lead", "reason")


@admin.register(SigningKey)
class SigningKeyAdmin(OperatorPage):
    list_display = ("kid", "algorithm", "state", "signs_from", "verifies_until", "created")
    list_filter = (SigningKeyState,)
    ordering = ("-created_at",)
    search_help_text = "The id of a key (kid). Keys of TOKEN_SIGNING_KEYS are in the settings, not here."
    actions = ("retire",)
    forms_alone = ("add",)
    # Not the private key, although it is encrypted.
    fields: ClassVar[Any] = ("kid", "algorithm", "state", "created", "signs_from", "verifies_until", "related")
    readonly_fields = ("state", "created", "signs_from", "verifies_until", "related")

    def found_by(self, text: str) -> Q:
        return Q(pk=text)

    def prepare(self, rows: Sequence[Any]) -> None:
        signing = SigningKey.objects.using(settings.DATABASE).signing(clock.now()).values_list("kid", flat=True).first()
        for row in rows:
            row.signs, row.is_prepared = row.pk == signing, True

    @admin.display
    def state(self, row: Any) -> str:
        now = clock.now()
        if row.expires_at is not None and row.expires_at <= now:
            return "expired or retired"
        if self.prepared(row).signs:
            return "signs"
        return "will sign" if row.signs_at > now else "verifies"

    @admin.display
    def signs_from(self, row: Any) -> Any:
        return columns.instant(row.signs_at)

    @admin.display
    def verifies_until(self, row: Any) -> Any:
        return columns.instant(row.expires_at) or "no successor yet"

    @admin.display
    def created(self, row: Any) -> Any:
        return columns.instant(row.created_at)

    @admin.display(description="see also")
    def related(self, row: Any) -> Any:
        return columns.links(self.admin_site, f"signing-key:{row.kid}", "audit")

    @operation(
        "Retire",
        permission="delete",
        consequence="Every token that such a key has signed is refused from now on, on every host. There is no way "
        "back.",
    )
    def retire(self, change: Change) -> str:
        return change.report(lambda row: retire_key(row.pk), "key", "retired")

    @operation(
        "Make a new key",
        permission="add",
        consequence="The new key signs after its lead. The older keys verify until their tokens have expired: no token "
        "is refused.",
        form=RotateForm,
        needs_rows=False,
    )
    def add(self, change: Change) -> str:
        rows = SigningKey.objects.using(settings.DATABASE)
        with change.making(lambda event: rows.filter(pk=getattr(event, "kid", "")).first()):
            kid = keys.rotate(algorithm=change.data["algorithm"], lead=change.data["lead"], now=clock.now())
        return f"The key {kid} was made."


class SignatureKeyState(StateFilter):
    def conditions(self) -> dict[str, Q]:
        return {"all": Q(), "in force": Q(revoked_at=None), "revoked": Q(revoked_at__isnull=False)}


class RegisterKeyForm(ReasonForm):
    keyid = forms.CharField(max_length=255, help_text="The name of the key in the signature's parameter keyid.")
    user = UserField()
    public_key = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 8, "cols": 70, "spellcheck": "false"}), help_text="The public key in PEM."
    )
    field_order = ("keyid", "user", "public_key", "reason")

    def clean_public_key(self) -> str:
        try:
            return signature_keys.checked(self.cleaned_data["public_key"])
        except Misuse as error:
            raise ValidationError(str(error)) from error


@admin.register(SignatureKey)
class SignatureKeyAdmin(OperatorPage):
    """Register and revoke keys. A key is never changed: its earlier signatures would then name another key or user."""

    list_display = ("keyid", "owner", "registered", "revoked")
    list_filter = (SignatureKeyState,)
    list_select_related = ("user",)
    ordering = ("keyid",)
    search_help_text = "A keyid, or a user name or e-mail address."
    actions = ("revoke_keys",)
    forms_alone = ("add",)
    fields: ClassVar[Any] = ("keyid", "owner", "public_key", "registered", "revoked", "related")
    readonly_fields = ("owner", "registered", "revoked", "related")

    def found_by(self, text: str) -> Q:
        return Q(pk=text) | Q(user__in=user_keys(text))

    def named(self, row: Any) -> str:
        return f"{row.keyid}, of the user {columns.user_of(row)}"

    @admin.display(description="user")
    def owner(self, row: Any) -> Any:
        return columns.user_of(row)

    @admin.display
    def registered(self, row: Any) -> Any:
        return columns.instant(row.registered_at)

    @admin.display
    def revoked(self, row: Any) -> Any:
        return columns.instant(row.revoked_at)

    @admin.display(description="see also")
    def related(self, row: Any) -> Any:
        return columns.links(self.admin_site, f"signature-key:{row.keyid}", "audit")

    @operation(
        "Revoke",
        permission="delete",
        consequence="Each request that such a key signs is refused from now on. There is no way back, and the keyid "
        "stays taken.",
    )
    def revoke_keys(self, change: Change) -> str:
        return change.report(lambda row: revoke_signature_key(row.keyid), "key", "revoked")

    @operation(
        "Register a key",
        permission="add",
        consequence="The holder of the private key signs requests of the user from now on.",
        form=RegisterKeyForm,
        needs_rows=False,
    )
    def add(self, change: Change) -> str:
        data = {name: change.data[name] for name in ("keyid", "user", "public_key")}
        rows = SignatureKey.objects.using(settings.DATABASE)
        with change.making(lambda _: rows.filter(pk=data["keyid"]).first()):
            signature_keys.register(now=clock.now(), **data)
        return f"The key {data['keyid']} is registered."
