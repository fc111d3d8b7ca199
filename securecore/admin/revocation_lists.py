"""The page of imported revocation lists: number, entries and end of each.

The command ``securecore_certificates crl`` imports them: a list of a million entries is no upload for a browser.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q

from securecore import clock
from securecore.admin import columns
from securecore.admin.filters import StateFilter
from securecore.admin.pages import OperatorPage
from securecore.conf import settings
from securecore.identity.certificates import serial_id
from securecore.models import ListedCertificate, RevocationList
from securecore.thumbprints import serial_in


class ListState(StateFilter):
    def conditions(self) -> dict[str, Q]:
        now = clock.now()
        return {"all": Q(), "in force": Q(next_update__gt=now), "overdue": Q(next_update__lte=now)}


@admin.register(RevocationList)
class RevocationListAdmin(OperatorPage):
    list_display = ("issuer", "state", "next_update_at", "entries", "number", "imported", "when_overdue")
    list_filter = (ListState,)
    ordering = ("next_update", "issuer")
    text_fields = ("issuer",)
    search_help_text = "The serial number of a certificate, for the lists that name it; an issuer, or a part of it."
    fields: ClassVar[Any] = (
        "issuer", "state", "number", "entries", "issued", "next_update_at", "when_overdue", "imported", "related",
    )  # fmt: skip
    readonly_fields = ("state", "issued", "next_update_at", "when_overdue", "imported", "related")

    def found_by(self, text: str) -> Q:
        serial, rows = serial_in(text), RevocationList.objects.using(settings.DATABASE)
        ids = {serial_id(issuer, serial) for issuer in rows.values_list("issuer", flat=True)} if serial else set()
        listed = ListedCertificate.objects.using(settings.DATABASE).filter(certificate__in=ids)
        return Q(pk__in=list(listed.values_list("revocation_list", flat=True))) | Q(issuer=text)

    @admin.display
    def state(self, row: Any) -> str:
        return "in force" if row.next_update > clock.now() else "overdue"

    @admin.display(description="this update")
    def issued(self, row: Any) -> Any:
        return columns.instant(row.this_update)

    @admin.display(description="next update")
    def next_update_at(self, row: Any) -> Any:
        return columns.two_lines(columns.instant(row.next_update), columns.left(row.next_update, clock.now()))

    @admin.display
    def imported(self, row: Any) -> Any:
        return columns.instant(row.imported_at)

    @admin.display(description="when overdue")
    def when_overdue(self, row: Any) -> str:
        return "refuses the issuer" if row.refuses_when_expired else "keeps its entries"

    @admin.display(description="see also")
    def related(self, row: Any) -> Any:
        return columns.links(self.admin_site, f"issuer:{row.issuer}", "lockouts", "audit")
