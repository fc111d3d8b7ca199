"""Certificates in use that end soon, or have ended, and were not renewed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import BooleanField, Exists, ExpressionWrapper, F, OuterRef, Q

from securecore import user_model
from securecore.conf import settings
from securecore.control_room.bounded import COUNTED, SHOWN, Count, Listing
from securecore.models import Certificate

#: The time before and after now of which certificates are shown.
WITHIN = dt.timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Ending:
    """A certificate that ends. ``is_renewed``: the user has another enrolment that lasts longer."""

    thumbprint: str
    subject: str
    owner: str
    not_after: dt.datetime
    is_renewed: bool


@dataclass(frozen=True, slots=True)
class Certificates:
    """The certificates that end soon, and the overdue ones, which have ended. Each is without a renewal."""

    expiring: Listing
    overdue: Listing
    #: The certificates that end soon, and are renewed.
    renewed: Count
    days: int = WITHIN.days


def read_certificates(now: dt.datetime) -> Certificates:
    """Read the first ``COUNTED`` certificates that end from now on, and the last ``COUNTED`` that ended before."""
    soon, is_more_soon = _ending(now, now + WITHIN, "not_after")
    ended, is_more_ended = _ending(now - WITHIN, now, "-not_after")
    return Certificates(
        expiring=_not_renewed(soon, is_more_soon),
        overdue=_not_renewed(ended, is_more_ended),
        renewed=Count(sum(each.is_renewed for each in soon), is_more_soon),
    )


def _not_renewed(ending: list[Ending], is_more: bool) -> Listing:
    rows = [each for each in ending if not each.is_renewed]
    return Listing(rows[:SHOWN], Count(len(rows), is_more))


def _ending(begins: dt.datetime, ends: dt.datetime, order: str) -> tuple[list[Ending], bool]:
    """Return the certificates in use among the first ``COUNTED`` that end in this time, and whether more end in it.

    Revoked certificates and those of inactive users are left out here, and not by a condition of the statement, which
    would have to read every one of them to find the first other row.
    """
    certificates = Certificate.objects.using(settings.DATABASE)
    is_in_use = Q(revoked_at=None, user__isnull=False) & user_model.active("user__")
    lasts_longer = Q(not_after=None) | Q(not_after__gt=OuterRef("not_after"))
    renewal = certificates.filter(lasts_longer, user=OuterRef("user"), revoked_at=None)
    rows = (
        certificates.filter(not_after__gte=begins, not_after__lt=ends)
        .order_by(order)
        .annotate(
            is_in_use=ExpressionWrapper(is_in_use, BooleanField()),
            is_renewed=Exists(renewal),
            owner=F(f"user__{get_user_model().USERNAME_FIELD}"),
        )
        .values("thumbprint", "subject", "owner", "not_after", "is_renewed", "is_in_use")
    )
    read: list[Any] = list(rows[: COUNTED + 1])
    return list(_in_use(read[:COUNTED])), len(read) > COUNTED


def _in_use(rows: list[dict[str, Any]]) -> Iterator[Ending]:
    for row in rows:
        if row.pop("is_in_use"):
            yield Ending(**row)
