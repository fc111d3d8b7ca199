"""The state that a scrape reads from the database: live sessions, certificates by days left, the lag of the purge."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from dataclasses import dataclass

from securecore import clock
from securecore.conf import settings
from securecore.models import AuditRow, Certificate, RefreshFamily, Session
from securecore.purge import lags

#: Counting ten million sessions takes PostgreSQL a second, so a process counts once in this time.
SECONDS = 30
#: The upper ends, in days, of the groups of certificates by the time that is left.
_DAYS = (0, 7, 30, 90)


@dataclass(frozen=True)
class Gauge:
    """One quantity with its values by label. Without a label there is one value, under ""."""

    name: str
    help: str
    values: dict[str, float]
    label: str = ""


_last: tuple[float, tuple[Gauge, ...]] = (0.0, ())


def read() -> tuple[Gauge, ...]:
    """Return the gauges, from the database or from the last read within ``SECONDS``."""
    global _last
    read_at, gauges = _last
    if not gauges or time.monotonic() - read_at > SECONDS:
        gauges = tuple(_read(clock.now()))
        _last = time.monotonic(), gauges
    return gauges


def forget() -> None:
    """Let the next ``read()`` query the database."""
    global _last
    _last = 0.0, ()


def _read(now: dt.datetime) -> Iterator[Gauge]:
    alias = settings.DATABASE
    sessions = Session.objects.using(alias).live(now).exclude(user=None)
    families = RefreshFamily.objects.using(alias).filter(revoked_at=None, expires_at__gt=now)
    unsealed = AuditRow.objects.using(alias).filter(position=None)
    pending = Certificate.objects.using(alias).pending()
    yield Gauge("sessions_live", "Live sessions of users.", {"": sessions.count()})
    yield Gauge("families_live", "Live refresh-token families.", {"": families.count()})
    yield Gauge("audit_unsealed", "Audit rows that are not sealed yet.", {"": unsealed.count()})
    yield Gauge("certificates_pending", "Certificates that wait for an operator.", {"": pending.count()})
    by_days = dict(_certificates(now))
    yield Gauge("certificates", "Certificates in use by the most days left; 0 has expired.", by_days, "days_left")
    yield Gauge("purge_lag_seconds", "Age of the oldest row that a purge should have deleted.", lags(now), "table")


def _certificates(now: dt.datetime) -> Iterator[tuple[str, float]]:
    in_use = Certificate.objects.using(settings.DATABASE).filter(revoked_at=None, user__isnull=False)
    ends = [now + dt.timedelta(days=days) for days in _DAYS]
    starts = [now - dt.timedelta(days=90), *ends[:-1]]
    for days, start, end in zip(_DAYS, starts, ends, strict=True):
        yield str(days), in_use.filter(not_after__gt=start, not_after__lte=end).count()
    yield "+Inf", in_use.filter(not_after__gt=ends[-1]).count()
