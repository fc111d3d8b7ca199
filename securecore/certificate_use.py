"""The last use of certificates: by their sessions, authorizations and refreshes. A request stores nothing else."""

from __future__ import annotations

import datetime as dt

from django.db.models import OuterRef, QuerySet, Subquery

from securecore.identity.models import CertificateQuerySet
from securecore.models import Certificate, RefreshFamily, RefreshToken, Session


def with_last_use(rows: CertificateQuerySet) -> QuerySet[Certificate]:
    """Return ``rows`` with the instants of the last request of a session, of the last authorization and refresh."""
    sessions = Session.objects.filter(certificate=OuterRef("pk")).order_by("-last_seen_at").values("last_seen_at")
    families = RefreshFamily.objects.filter(certificate=OuterRef("pk")).order_by("-created_at").values("created_at")
    used = RefreshToken.objects.filter(family__certificate=OuterRef("pk"), used_at__isnull=False)
    refreshed = used.order_by("-used_at").values("used_at")
    of = {"last_session": sessions, "last_family": families, "last_refresh": refreshed}
    return rows.annotate(**{name: Subquery(query[:1]) for name, query in of.items()})


def last_use_of(row: Certificate) -> dt.datetime | None:
    """Return the last use of a row of ``with_last_use``, or None."""
    seen = (getattr(row, name, None) for name in ("last_session", "last_family", "last_refresh"))
    return max(filter(None, seen), default=None)
