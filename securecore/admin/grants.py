"""The page of grants: give, change and revoke them by the functions of the API, which close the gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from django import forms
from django.apps import apps
from django.contrib import admin
from django.db.models import Q

from securecore import clock, database, grants
from securecore.admin import columns
from securecore.admin.filters import StateFilter
from securecore.admin.forms import InstantField, ObjectField, PrincipalForm, ReasonForm
from securecore.admin.givers import read_givers
from securecore.admin.operations import Change, operation
from securecore.admin.pages import OperatorPage
from securecore.admin.search import principals_named
from securecore.conf import settings
from securecore.errors import Busy, Misuse
from securecore.grants.limits import LARGEST_BIGINT, LARGEST_INTEGER
from securecore.grants.principal_names import described, names_of
from securecore.http.authorization.spelling import doubt_about_permission
from securecore.models import Grant
from securecore.revocation import revoke_grant

Result = TypeVar("Result")
_LIMITS = ("valid_from", "valid_until", "uses_limit", "amount_limit", "period")


class GrantState(StateFilter):
    """Revoked grants are apart: each of the two has its own index."""

    def conditions(self) -> dict[str, Q]:
        return {"in force": Q(revoked_at=None), "revoked": Q(revoked_at__isnull=False)}


class LimitsForm(ReasonForm):
    valid_from = InstantField(required=False, help_text="Empty: from now on.")
    valid_until = InstantField(required=False, help_text="Empty: until it is revoked.")
    uses_limit = forms.IntegerField(required=False, min_value=1, max_value=LARGEST_INTEGER, help_text="Number of uses.")
    amount_limit = forms.IntegerField(
        required=False, min_value=1, max_value=LARGEST_BIGINT, help_text="In the smallest unit, for example cents."
    )
    period = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=LARGEST_INTEGER,
        help_text="Seconds, after which uses and amount begin anew; empty: never.",
    )
    field_order: Any = (*_LIMITS, "reason")

    @classmethod
    def initial_of(cls, row: Grant) -> dict[str, Any]:
        return {name: getattr(row, name) for name in _LIMITS}

    def limits(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in _LIMITS}


class GiveForm(LimitsForm, PrincipalForm):
    permission = forms.CharField(max_length=128, help_text="For example transfers.create, or role:NAME.")
    object = ObjectField(required=False, help_text="One object, by model and key: payments.account:7. Empty: all.")
    denies = forms.BooleanField(required=False, help_text="A denial, which wins over every grant.")
    field_order = ("kind", "name", "permission", "object", "denies", *_LIMITS, "reason")

    def harm(self) -> str:
        """Return the sentences about a name that may be misspelt, and about a denial."""
        permission = self.cleaned_data["permission"]
        parts = [doubt_about_permission(permission), self.doubt()]
        if self.cleaned_data["denies"]:
            parts.append(f"This denies {permission} to {self.named()}, whichever grants they have.")
        return " ".join(filter(None, parts))


@admin.register(Grant)
class GrantAdmin(OperatorPage):
    list_display = ("principal_named", "permission_and_object", "effect", "given", "bounds")
    list_filter = (GrantState,)
    ordering = ("-id",)
    search_help_text = (
        "A user name or e-mail address, a group, role, client id, thumbprint or principal (user:7), or a permission."
    )
    actions = ("change_limits", "revoke")
    forms_alone = ("add",)
    fields: ClassVar[Any] = (
        "principal_named", "permission", "object_type", "object_id", "effect", "given", "bounds", "revoked", "related",
    )  # fmt: skip
    readonly_fields = ("principal_named", "effect", "given", "bounds", "revoked", "related")

    def found_by(self, text: str) -> Q:
        return Q(principal__in=principals_named(text)) | Q(permission=text)

    def prepare(self, rows: Sequence[Any]) -> None:
        givers = read_givers(rows)
        names = names_of([*(row.principal for row in rows), *(actor for actor, _ in givers.values())])
        for row in rows:
            actor, reason = givers.get(row.pk, ("", ""))
            row.names, row.giver, row.giving_reason, row.is_prepared = names, names.get(actor, actor), reason, True

    def named(self, row: Any) -> str:
        on = f" on {row.object_type}:{row.object_id}" if row.object_type else ""
        return f"{described(row.principal)} {'is denied' if row.denies else 'may'} {row.permission}{on}"

    @admin.display(description="principal")
    def principal_named(self, row: Any) -> Any:
        return columns.principal(row.principal, self.prepared(row).names)

    @admin.display(description="permission, object")
    def permission_and_object(self, row: Any) -> Any:
        on = f"{row.object_type}:{row.object_id}" if row.object_type else "on all objects"
        return columns.two_lines(row.permission, on)

    @admin.display
    def effect(self, row: Any) -> str:
        parts = [f"{row.uses_limit} uses"] if row.uses_limit is not None else []
        parts += [f"amount {row.amount_limit}"] if row.amount_limit is not None else []
        parts += [f"each {row.period} s"] if row.period is not None else []
        return ", ".join(["denies" if row.denies else "allows", *parts])

    @admin.display(description="given, by, reason")
    def given(self, row: Any) -> Any:
        row = self.prepared(row)
        by = f"by {row.giver}" if row.giver else "by an unknown giver"
        return columns.two_lines(
            columns.instant(row.granted_at), f"{by}{': ' if row.giving_reason else ''}{row.giving_reason}"
        )

    @admin.display(description="counts until")
    def bounds(self, row: Any) -> Any:
        begins = row.valid_from is not None and row.valid_from > clock.now()
        if row.revoked_at is not None:
            return columns.two_lines(columns.instant(row.revoked_at), "was revoked")
        until = columns.instant(row.valid_until) or "it is revoked"
        return columns.two_lines(until, columns.begins(row.valid_from)) if begins else until

    @admin.display
    def revoked(self, row: Any) -> Any:
        return columns.instant(row.revoked_at)

    @admin.display(description="see also")
    def related(self, row: Any) -> Any:
        return columns.links(self.admin_site, row.principal, "grants", "lockouts", "audit")

    @operation(
        "Revoke",
        permission="delete",
        consequence="The response comes once every effect under such a grant has committed or failed: no later effect "
        "commits. A revoked denial lets the principal use its other grants again.",
    )
    def revoke(self, change: Change) -> str:
        return change.report(_revoke, "grant", "revoked")

    @operation(
        "Change the limits",
        permission="change",
        consequence="The grant is revoked and given anew with these limits, in one step. Its uses and amounts begin "
        "anew.",
        form=LimitsForm,
        is_for_one=True,
    )
    def change_limits(self, change: Change) -> str:
        limits = {name: change.data[name] for name in _LIMITS}

        def replace(row: Grant) -> bool:
            names: dict[str, Any] = {"principal": row.principal, "permission": row.permission, "denies": row.denies}
            return _behind_gate(lambda: grants.replace(**names, obj=_object_of(row), now=clock.now(), **limits))

        if not change.each(replace):
            raise Misuse("The grant was revoked meanwhile: give it anew.")
        return f"The limits were changed: {self.named(change.rows[0])}."

    @operation(
        "Give a permission",
        permission="add",
        consequence="The principal has the permission from now on, or from the instant below.",
        form=GiveForm,
        needs_rows=False,
    )
    def add(self, change: Change) -> str:
        data = change.data
        named = {name: data[name] for name in ("principal", "permission", "denies")}
        rows = Grant.objects.using(settings.DATABASE).not_revoked().on(*grants.principals.object_of(data["object"]))
        limits = {name: data[name] for name in _LIMITS}
        with change.making(lambda _: rows.filter(**named).first()):
            is_new = _behind_gate(lambda: grants.grant(**named, obj=data["object"], now=clock.now(), **limits))
        verb = "is denied" if data["denies"] else "has"
        told = f"{described(data['principal'])} {verb} {data['permission']}"
        if not is_new:
            raise Misuse(f"{told} already: change the limits of that grant.")
        return f"From now on, {told}."  # Django capitalises the first letter of a message


def _revoke(row: Grant) -> bool:
    named: dict[str, Any] = {"principal": row.principal, "permission": row.permission, "obj": _object_of(row)}
    if row.denies:  # no right is taken away, so no request needs to be outlasted
        return _behind_gate(lambda: grants.revoke(**named, denies=True, now=clock.now()))
    return revoke_grant(**named)


def _behind_gate(change: Callable[[], Result]) -> Result:
    """Call ``change``, a transaction that closes a gate. Raises ``Busy`` after ``LOCK_TIMEOUT``."""

    def once() -> Result:
        with database.refused_when_locked(Busy):
            return change()

    return database.retry_after_deadlock(once)


def _object_of(row: Grant) -> Any:
    """Return the object of the grant, as an instance with its key: the object may have been deleted."""
    if not row.object_type:
        return None
    try:
        return apps.get_model(row.object_type)(pk=row.object_id)
    except LookupError:
        raise Misuse(f"The model {row.object_type} is not installed, so no check reads this grant.") from None
