"""The page of live sessions: end them, lock their users out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q

from securecore import clock
from securecore.admin import columns
from securecore.admin.devices import device_named
from securecore.admin.locking import LockForm, lock_out_each
from securecore.admin.operations import Change, operation
from securecore.admin.pages import OperatorPage
from securecore.admin.search import user_keys, uuid_in
from securecore.conf import settings
from securecore.errors import Misuse
from securecore.grants import principal_of
from securecore.models import Certificate, Session
from securecore.revocation import end_selected_sessions
from securecore.texts import counted
from securecore.thumbprints import thumbprint_in


@admin.register(Session)
class SessionAdmin(OperatorPage):
    list_display = ("owner", "place", "certificate_used", "last_seen", "opened", "ends")
    list_select_related = ("user",)
    # By the end of the idle timeout, which has an index: nearly the order of the last use.
    ordering = ("-expires_at",)
    text_fields = ("address", "device")
    empty = "live session"
    search_help_text = (
        "A user name or e-mail address, a thumbprint, the id of a session, or a part of an address or a device. The "
        "last used session is the first."
    )
    actions = ("end_sessions", "lock_out")
    fields: ClassVar[Any] = (
        "id", "owner", "address", "device", "certificate", "binding", "opened", "authenticated", "last_seen", "ends",
        "ends_at_last", "related",
    )  # fmt: skip
    readonly_fields = ("owner", "opened", "authenticated", "last_seen", "ends", "ends_at_last", "related")

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).live(clock.now())

    def found_by(self, text: str) -> Q:
        found = Q(user__in=user_keys(text))
        if (thumbprint := thumbprint_in(text)) is not None:
            found |= Q(certificate=thumbprint) | Q(binding=f"x5t#S256:{thumbprint}")
        if (key := uuid_in(text)) is not None:
            found |= Q(pk=key)
        return found

    def prepare(self, rows: Sequence[Any]) -> None:
        used = {row.certificate for row in rows if row.certificate}
        certificates = Certificate.objects.using(settings.DATABASE).in_bulk(used)
        for row in rows:
            row.certificate_row, row.is_prepared = certificates.get(row.certificate), True

    def named(self, row: Any) -> str:
        user = columns.user_of(row) or "nobody"
        place = f"{row.address or 'an unknown address'} {row.device}"
        return f"of {user}, from {place}, opened {row.created_at:%Y-%m-%d %H:%M} UTC"

    @admin.display(description="user")
    def owner(self, row: Any) -> Any:
        return columns.user_of(row) or "nobody"

    @admin.display(description="address, device")
    def place(self, row: Any) -> Any:
        return columns.two_lines(row.address, columns.titled(device_named(row.device), row.device))

    @admin.display(description="certificate")
    def certificate_used(self, row: Any) -> Any:
        short, certificate = columns.short(row.certificate), self.prepared(row).certificate_row
        if certificate is None or not certificate.subject:
            return short
        return columns.two_lines(columns.row_link(self.admin_site, certificate, certificate.subject), short)

    @admin.display
    def last_seen(self, row: Any) -> Any:
        return columns.instant(row.last_seen_at)

    @admin.display
    def opened(self, row: Any) -> Any:
        return columns.instant(row.created_at)

    @admin.display(description="last login")
    def authenticated(self, row: Any) -> Any:
        return columns.instant(row.authenticated_at)

    @admin.display(description="ends if idle")
    def ends(self, row: Any) -> Any:
        return columns.instant(row.expires_at)

    @admin.display(description="ends at last")
    def ends_at_last(self, row: Any) -> Any:
        return columns.instant(row.ends_at)

    @admin.display(description="see also")
    def related(self, row: Any) -> Any:
        if row.user is None:
            return None
        own = principal_of(row.user)
        return columns.links(self.admin_site, row.user.get_username(), "sessions", "authorizations") or own

    @operation(
        "End session",
        permission="delete",
        consequence="The browser of each session is logged out, on every host, before the response. The users may "
        "log in again, unless you lock them out.",
    )
    def end_sessions(self, change: Change) -> str:
        rows = Session.objects.using(settings.DATABASE).filter(pk__in=[row.pk for row in change.rows])
        by = f"by the administrator {principal_of(change.request.user)}"
        by_id = {str(row.pk): row for row in change.rows}
        with change.naming(lambda event: by_id.get(getattr(event, "session", ""))):
            count = end_selected_sessions(rows, reason=change.data["reason"] or by)
        return f"{counted(count, 'session was ended', 'sessions were ended')}."

    @operation(
        "Lock the users out",
        permission="add_lockout",
        consequence="Each request of these users is refused until the end of the lockout, under any credential. Their "
        "sessions and tokens stay, and work again afterwards.",
        form=LockForm,
    )
    def lock_out(self, change: Change) -> str:
        if not all(row.user is not None for row in change.rows):
            raise Misuse("A session without a user names nobody that could be locked out: end it instead.")
        return lock_out_each(change, lambda row: principal_of(row.user))
