"""The forms of operations. A user is named by name or e-mail address, so each user model works without widgets."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.apps import apps
from django.core.exceptions import ValidationError
from django.utils import timezone

from securecore.conf import settings
from securecore.errors import Misuse, Refused
from securecore.grants import principals
from securecore.grants.principal_names import described, object_named, users_named
from securecore.grants.query.lockouts import EVERYONE, ISSUER
from securecore.http.authorization.spelling import doubt_about_client

_KINDS = {
    "user": "user, by name or e-mail address",
    "client": "client, by its id",
    "certificate": "certificate, by its thumbprint",
    "group": "group, by its name",
    "role": "role, by its name",
    "issuer": "every certificate of an issuer, RFC 4514: CN=Mesh CA,O=Bank",
    EVERYONE: "everyone",
}


class ReasonForm(forms.Form):
    """The reason of the operation, for the audit."""

    reason = forms.CharField(
        required=False,
        max_length=255,
        help_text="For the audit, for example: laptop stolen, ticket 4711.",
        widget=forms.TextInput(attrs={"size": 60}),
    )
    field_order: Any = None

    @classmethod
    def initial_of(cls, row: Any) -> dict[str, Any]:
        """Return the values with which the form of one row begins."""
        return {}

    def harm(self) -> str:
        """Return the sentence that the administrator must confirm; empty for a form that does no harm.

        Called with the cleaned data. The page of an operation on rows asks for a confirmation in any case.
        """
        return ""


class UserField(forms.CharField):
    """A user, by name or e-mail address."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"help_text": "The user's name or e-mail address."} | options))

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        found = users_named(text)
        if not found:
            raise ValidationError(f"There is no user {text!r}.")
        if len(found) > 1:
            raise ValidationError(f"Several users have the e-mail address {text!r}. Give the user's name.")
        return found[0]


class InstantField(forms.DateTimeField):
    """An instant in the time zone of the project, or in another one that the text names."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=forms.DateTimeInput(attrs={"placeholder": "2026-12-31 17:00"}), **options)

    def clean(self, value: Any) -> Any:
        instant = super().clean(value)
        if instant is not None and timezone.is_naive(instant):  # with USE_TZ = False
            return timezone.make_aware(instant, timezone.get_default_timezone())
        return instant


_DURATIONS = {
    1_800: "30 minutes",
    3_600: "1 hour",
    4 * 3_600: "4 hours",
    86_400: "1 day",
    7 * 86_400: "7 days",
    30 * 86_400: "30 days, the longest",
}


class DurationField(forms.TypedChoiceField):
    """A time from 30 minutes to 30 days."""

    def __init__(self, **options: Any) -> None:
        chosen: dict[str, Any] = {"choices": list(_DURATIONS.items()), "coerce": _timedelta, "initial": 3_600}
        super().__init__(**(chosen | options))


def _timedelta(seconds: Any) -> dt.timedelta:
    return dt.timedelta(seconds=int(seconds))


class ObjectField(forms.CharField):
    """An object by its model and key; the cleaned value is the object, or None."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return object_named(text) if text else None
        except LookupError as error:
            raise ValidationError(str(error)) from None


class PrincipalForm(ReasonForm):
    """A principal, by its kind and its name; ``cleaned_data["principal"]`` is the principal."""

    kinds: tuple[str, ...] = ("user", "client", "certificate", "group", "role")
    kind = forms.ChoiceField()
    name = forms.CharField(required=False, max_length=600, widget=forms.TextInput(attrs={"size": 60}))

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        kind: Any = self.fields["kind"]
        kind.choices = [(kind, _KINDS[kind]) for kind in self.kinds]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        kind, name = data.get("kind", ""), data.get("name", "")
        if kind and (name or kind == EVERYONE):
            data["principal"] = principal_named(kind, name)
        elif kind:
            self.add_error("name", f"Name the {kind}.")
        return data

    def doubt(self) -> str:
        """Return the sentence about a client that is not registered; empty for every other principal."""
        kind, _, name = self.cleaned_data["principal"].partition(":")
        return doubt_about_client(name) if kind == "service" else ""

    def named(self) -> str:
        """Return the principal as people know it."""
        return described(self.cleaned_data["principal"])


def principal_named(kind: str, name: str) -> str:
    """Return the principal of this kind and name. Raises ``ValidationError``."""
    try:
        if kind == "user":
            return principals.principal_of(UserField().clean(name))
        if kind == "client":
            return principals.service(name)
        if kind == "certificate":
            return principals.certificate(name)
        if kind == "role":
            return principals.role(name)
    except (Misuse, Refused) as error:
        raise ValidationError(str(error)) from None
    if kind == "group":
        group = apps.get_model("auth.Group").objects.using(settings.DATABASE).filter(name=name).first()
        if group is None:
            raise ValidationError(f"There is no group {name!r}.")
        return principals.group(group)
    return EVERYONE if kind == EVERYONE else f"{ISSUER}{name}"
