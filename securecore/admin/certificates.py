"""The page of certificates: enrol, admit, revoke, lock out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils import timezone

from securecore import clock
from securecore.admin import columns
from securecore.admin.filters import StateFilter
from securecore.admin.forms import ReasonForm, UserField
from securecore.admin.locking import LockForm, lock_out_each
from securecore.admin.operations import Change, operation
from securecore.admin.pages import OperatorPage
from securecore.admin.search import user_keys
from securecore.certificate_use import last_use_of, with_last_use
from securecore.conf import settings
from securecore.errors import Refused
from securecore.grants import principals
from securecore.http.actor import nginx_serial
from securecore.identity import admit, enroll, parse_file
from securecore.models import Certificate
from securecore.revocation import revoke_certificate
from securecore.thumbprints import serial_in, thumbprint_in

_SOON = dt.timedelta(days=30)


class CertificateState(StateFilter):
    def conditions(self) -> dict[str, Q]:
        now = clock.now()
        return {
            "all": Q(),
            "pending": Q(user=None, enrolled_at=None, revoked_at=None),
            "expires in 30 days": Q(not_after__gt=now, not_after__lte=now + _SOON, revoked_at=None),
            "expired": Q(not_after__lte=now),
            "revoked": Q(revoked_at__isnull=False),
        }


class AdmitForm(ReasonForm):
    user = UserField()
    field_order = ("user", "reason")


class EnrolForm(ReasonForm):
    certificate = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 12, "cols": 70, "spellcheck": "false"}),
        help_text="The PEM text of the certificate, with its BEGIN and END lines. No private key.",
    )
    user = UserField()
    field_order = ("certificate", "user", "reason")

    def clean_certificate(self) -> Any:
        try:
            return parse_file(self.cleaned_data["certificate"].encode())
        except Refused as refusal:
            raise ValidationError(str(refusal)) from None


@admin.register(Certificate)
class CertificateAdmin(OperatorPage):
    list_display = ("certificate", "thumbprint_and_serial", "owner", "state_and_instant", "last_use", "expires")
    list_filter = (CertificateState,)
    list_select_related = ("user",)
    ordering = ("-not_after",)
    text_fields = ("subject", "issuer")
    empty = "row in this list"
    search_help_text = (
        "A user name or e-mail address, a thumbprint (hexadecimal, with colons, or base64url), a serial number, or a "
        "part of a subject or issuer."
    )
    actions = ("admit", "lock_out", "revoke")
    forms_alone = ("add",)
    fields: ClassVar[Any] = (
        "subject", "issuer", "serial", "thumbprint", "hexadecimal", "owner", "state", "matched_by",
        "is_self_signed", "last_use", "expires", "enrolled", "revoked", "related",
    )  # fmt: skip
    readonly_fields = (
        "serial",
        "hexadecimal",
        "owner",
        "state",
        "last_use",
        "expires",
        "enrolled",
        "revoked",
        "related",
    )

    def found_by(self, text: str) -> Q:
        found = Q(pk=thumbprint_in(text) or text) | Q(user__in=user_keys(text))
        serial = serial_in(text)
        return found | Q(serial_number=serial) if serial else found

    def prepare(self, rows: Sequence[Any]) -> None:
        used = with_last_use(Certificate.objects.using(settings.DATABASE).filter(pk__in=[row.pk for row in rows]))
        last_use = {row.pk: last_use_of(row) for row in used}
        for row in rows:
            row.last_used_at = last_use.get(row.pk)
            row.is_prepared = True

    def named(self, row: Any) -> str:
        user = columns.user_of(row)
        serial = f", serial number {nginx_serial(row.serial_number)}" if row.serial_number else ""
        return f"{row}{serial}, of {f'the user {user}' if user else 'no user'}, {self.state(row)}"

    @admin.display(description="certificate")
    def certificate(self, row: Any) -> Any:
        of = f"by {row.issuer}" if row.issuer else "issuer unknown"
        return columns.two_lines(row.subject or "unknown subject", of)

    @admin.display(description="thumbprint, serial number")
    def thumbprint_and_serial(self, row: Any) -> Any:
        return columns.two_lines(columns.short(row.thumbprint), columns.serial(row.serial_number) or row.matched_by)

    @admin.display(description="serial number")
    def serial(self, row: Any) -> Any:
        return columns.serial(row.serial_number)

    @admin.display(description="user")
    def owner(self, row: Any) -> Any:
        return columns.user_of(row)

    @admin.display
    def state(self, row: Any) -> str:
        if row.revoked_at:
            return f"revoked {timezone.localtime(row.revoked_at):%Y-%m-%d %H:%M:%S}"
        if row.enrolled_at is None:
            return "pending"
        if row.not_after is not None and row.not_after <= clock.now():
            return "expired"
        return "enrolled" if row.user is not None else "of a service"

    @admin.display(description="state")
    def state_and_instant(self, row: Any) -> Any:
        if row.revoked_at:
            return columns.two_lines("revoked", columns.instant(row.revoked_at, seconds=True))
        return self.state(row)

    @admin.display
    def last_use(self, row: Any) -> Any:
        return columns.instant(self.prepared(row).last_used_at)

    @admin.display
    def expires(self, row: Any) -> Any:
        if row.not_after is None:
            return None
        if row.revoked_at:  # a revoked certificate has no time left
            return columns.instant(row.not_after)
        return columns.two_lines(columns.instant(row.not_after), columns.left(row.not_after, clock.now()))

    @admin.display
    def enrolled(self, row: Any) -> Any:
        return columns.instant(row.enrolled_at)

    @admin.display
    def revoked(self, row: Any) -> Any:
        return columns.instant(row.revoked_at, seconds=True)

    @admin.display(description="thumbprint, as openssl prints it")
    def hexadecimal(self, row: Any) -> str:
        return columns.hexadecimal(row.thumbprint)

    @admin.display(description="see also")
    def related(self, row: Any) -> Any:
        return columns.links(self.admin_site, row.thumbprint, "sessions", "authorizations", "grants", "audit")

    @operation(
        "Admit for a user",
        permission="change",
        consequence="A pending certificate is enrolled: each request under it is a request of the user.",
        form=AdmitForm,
    )
    def admit(self, change: Change) -> str:
        user, now = change.data["user"], clock.now()
        return change.report(
            lambda row: admit(thumbprint=row.pk, user=user, now=now),
            "certificate",
            f"enrolled for {user.get_username()}",
            instead="not pending: another operator has decided, or enrolled before",
        )

    @operation(
        "Revoke",
        permission="delete",
        consequence="Each request under such a certificate is refused from now on, and its sessions, authorizations "
        "and tokens end. There is no way back: the owner needs a new certificate. For a match, every certificate with "
        "this key or name is refused.",
    )
    def revoke(self, change: Change) -> str:
        return change.report(lambda row: revoke_certificate(thumbprint=row.pk), "certificate", "revoked")

    @operation(
        "Lock out for a time",
        permission="add_lockout",
        consequence="Each request under such a certificate is refused until the end of the lockout. Its sessions and "
        "tokens stay, and work again afterwards.",
        form=LockForm,
    )
    def lock_out(self, change: Change) -> str:
        return lock_out_each(change, lambda row: principals.certificate(row.pk))

    @operation(
        "Enrol a certificate",
        permission="add",
        consequence="Each request under the certificate is a request of the user from now on.",
        form=EnrolForm,
        needs_rows=False,
    )
    def add(self, change: Change) -> str:
        presented, user = change.data["certificate"], change.data["user"]
        rows = Certificate.objects.using(settings.DATABASE)
        with change.making(lambda _: rows.filter(pk=presented.thumbprint).first()):
            row = enroll(certificate=presented, user=user, now=clock.now())
        if row.revoked_at:
            return f"{row} was revoked and stays refused: enrol a new certificate."
        return f"{row} is enrolled for {user.get_username()}."
