"""The page of lockouts: lock a subject out for a time with a reason, and lift the lockout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q

from securecore import clock
from securecore.admin import columns
from securecore.admin.filters import StateFilter
from securecore.admin.forms import PrincipalForm, ReasonForm
from securecore.admin.locking import LockForm
from securecore.admin.operations import Change, operation
from securecore.admin.pages import OperatorPage
from securecore.admin.search import principals_named
from securecore.conf import settings
from securecore.errors import Misuse, Refused
from securecore.grants import lockouts
from securecore.grants.principal_names import described, names_of
from securecore.grants.query.lockouts import EVERYONE
from securecore.models import Lockout


class LockoutState(StateFilter):
    def conditions(self) -> dict[str, Q]:
        now = clock.now()
        return {"in force": Q(expires_at__gt=now), "over": Q(expires_at__lte=now)}


class LockSubjectForm(LockForm, PrincipalForm):
    kinds = ("user", "client", "certificate", "issuer", EVERYONE)
    field_order = ("kind", "name", "lasts", "reason")

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        if "principal" in data:
            try:
                lockouts.require_subject(data["principal"])
            except (Misuse, Refused) as error:
                raise ValidationError(str(error)) from None
        return data

    def harm(self) -> str:
        until = clock.now() + self.cleaned_data["lasts"]
        subject = self.named()
        if subject == EVERYONE:
            subject = "everyone, also you and every administrator: only a shell lifts it"
        return f"This refuses {subject}, until about {until:%Y-%m-%d %H:%M} UTC. {self.doubt()}".rstrip()


@admin.register(Lockout)
class LockoutAdmin(OperatorPage):
    list_display = ("subject_named", "reason", "since", "until", "ends")
    list_filter = (LockoutState,)
    ordering = ("expires_at", "subject")
    text_fields = ("subject", "reason")
    search_help_text = (
        "A user name or e-mail address, a client id, a thumbprint, an issuer, or a part of a subject or reason."
    )
    actions = ("change_end", "lift")
    forms_alone = ("add",)
    fields: ClassVar[Any] = ("subject_named", "reason", "since", "until", "ends", "related")
    readonly_fields = ("subject_named", "since", "until", "ends", "related")

    def found_by(self, text: str) -> Q:
        return Q(pk__in=principals_named(text))

    def prepare(self, rows: Sequence[Any]) -> None:
        names = names_of(row.subject for row in rows)
        for row in rows:
            row.names, row.is_prepared = names, True

    def named(self, row: Any) -> str:
        return f"{described(row.subject)}, until {row.expires_at:%Y-%m-%d %H:%M} UTC: {row.reason}"

    @admin.display(description="subject")
    def subject_named(self, row: Any) -> Any:
        return columns.principal(row.subject, self.prepared(row).names)

    @admin.display
    def since(self, row: Any) -> Any:
        return columns.instant(row.locked_at)

    @admin.display
    def until(self, row: Any) -> Any:
        return columns.instant(row.expires_at)

    @admin.display
    def ends(self, row: Any) -> str:
        return columns.left(row.expires_at, clock.now())

    @admin.display(description="see also")
    def related(self, row: Any) -> Any:
        return columns.links(self.admin_site, row.subject, "grants", "audit")

    @operation(
        "Lift",
        permission="delete",
        consequence="The subject is accepted again at once, with its earlier sessions, tokens and grants.",
        form=ReasonForm,
    )
    def lift(self, change: Change) -> str:
        return change.report(lambda row: lockouts.lift(subject=row.pk), "lockout", "lifted")

    @operation(
        "Change the end and the reason",
        permission="change",
        consequence="The lockout begins anew, with this time from now on and this reason.",
        form=LockForm,
    )
    def change_end(self, change: Change) -> str:
        lasts, reason = change.data["lasts"], change.data["reason"]
        return change.report(
            lambda row: lockouts.lock_out(subject=row.pk, lasts=lasts, reason=reason), "lockout", "changed"
        )

    @operation(
        "Lock out",
        permission="add",
        consequence="Each request of the subject is refused for a time, under any credential. Its sessions, tokens and "
        "grants stay, and work again afterwards.",
        form=LockSubjectForm,
        needs_rows=False,
    )
    def add(self, change: Change) -> str:
        subject = change.data["principal"]
        rows = Lockout.objects.using(settings.DATABASE)
        with change.making(lambda _: rows.filter(pk=subject).first()):
            row = lockouts.lock_out(subject=subject, lasts=change.data["lasts"], reason=change.data["reason"])
        return f"Locked out until {row.expires_at:%Y-%m-%d %H:%M} UTC: {described(subject)}."
