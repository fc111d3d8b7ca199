"""The pages of the audit and of the counts of refusals: read-only, searched by whole values that have an index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Max, Q

from securecore import events
from securecore.admin import columns
from securecore.admin.pages import OperatorPage
from securecore.admin.search import principals_named
from securecore.conf import settings
from securecore.grants.principal_names import names_of
from securecore.models import AuditRow, RefusalCount

#: The number of the newest audit rows that a search for an event reads: no index has the event.
_NEWEST_OF_EVENT = 100_000
#: Prefixes of subjects beside principals (``audit.record``).
_KINDS = ("signature-key", "signing-key", "family", "token", "idempotency")


@admin.register(AuditRow)
class AuditAdmin(OperatorPage):
    list_display = ("instant", "event_name", "subject_named", "actor_named", "reason_given", "request")
    ordering = ("-id",)
    search_help_text = (
        "A user name or e-mail address, a thumbprint, a client id, a principal (user:7), a key, an authorization, a "
        f"request id; or an event, for example grant-given, among the newest {_NEWEST_OF_EVENT:,} rows."
    )
    fields: ClassVar[Any] = (
        "instant", "event", "subject_named", "actor_kind", "actor_named", "address", "request_id", "reason", "payload",
        "position", "digest", "kept_until", "related",
    )  # fmt: skip
    readonly_fields = ("instant", "subject_named", "actor_named", "kept_until", "related")

    def found_by(self, text: str) -> Q:
        named = [each.name for each in events.every_event() if text in (each.name, each.name.rpartition(".")[2])]
        if named:
            newest = AuditRow.objects.using(settings.DATABASE).aggregate(newest=Max("id"))["newest"] or 0
            return Q(event__in=named, id__gt=newest - _NEWEST_OF_EVENT)
        names = [text, *principals_named(text)]
        subjects = [*names, *(f"{kind}:{text}" for kind in _KINDS)]
        return Q(subject__in=subjects) | Q(actor__in=names) | Q(request_id=text)

    def prepare(self, rows: Sequence[Any]) -> None:
        names = names_of([*(row.subject for row in rows), *(row.actor for row in rows)])
        for row in rows:
            row.names, row.is_prepared = names, True

    @admin.display(description="at")
    def instant(self, row: Any) -> Any:
        return columns.instant(row.at, seconds=True)

    @admin.display(description="event")
    def event_name(self, row: Any) -> str:
        return str(row.event.rpartition(".")[2])

    @admin.display(description="subject")
    def subject_named(self, row: Any) -> Any:
        return columns.principal(row.subject, self.prepared(row).names)

    @admin.display(description="by")
    def actor_named(self, row: Any) -> Any:
        name = self.prepared(row).names.get(row.actor, row.actor)
        return columns.two_lines(name, " ".join(filter(None, (row.actor_kind, row.address))))

    @admin.display(description="reason")
    def reason_given(self, row: Any) -> str:
        return str(row.reason)[:80]

    @admin.display(description="request")
    def request(self, row: Any) -> Any:
        return columns.short(row.request_id)

    @admin.display
    def kept_until(self, row: Any) -> Any:
        return columns.instant(row.expires_at)

    @admin.display(description="see also")
    def related(self, row: Any) -> Any:
        return columns.links(self.admin_site, row.request_id or row.subject, "audit")


@admin.register(RefusalCount)
class RefusalCountAdmin(OperatorPage):
    list_display = ("minute_begun", "code", "reason", "route", "actor_named", "count")
    ordering = ("-minute",)
    text_fields = ("code", "reason", "route", "actor")
    search_help_text = "A user name or e-mail address, or a part of a code, reason, route or actor, in the newest rows."
    fields: ClassVar[Any] = ("minute_begun", "code", "reason", "route", "actor_named", "count")
    readonly_fields = ("minute_begun", "actor_named")

    def found_by(self, text: str) -> Q:
        newest = RefusalCount.objects.using(settings.DATABASE).order_by("-minute").values("pk")[:10_000]
        names = [name for name in principals_named(text) if not name.endswith(f":{text}")]
        return Q(pk__in=newest, actor__in=names)

    def prepare(self, rows: Sequence[Any]) -> None:
        names = names_of(row.actor for row in rows)
        for row in rows:
            row.names, row.is_prepared = names, True

    @admin.display(description="minute")
    def minute_begun(self, row: Any) -> Any:
        return columns.instant(row.minute)

    @admin.display(description="actor")
    def actor_named(self, row: Any) -> Any:
        return columns.principal(row.actor, self.prepared(row).names)
