"""The checks of imported revocation lists."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Warning

from securecore import clock, conf
from securecore.database.missing_tables import missing_tables
from securecore.revocation_lists import ending_lists


def w112_revocation_lists(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Report a revocation list that has ended, under ``manage.py check --database default`` only."""
    if conf.settings.DATABASE not in (databases or ()) or missing_tables():
        return []
    return [
        Warning(
            f"The revocation list of {row.issuer} ended at {row.next_update:%Y-%m-%d %H:%M} UTC. "
            + (
                "Every certificate of this issuer is refused."
                if row.refuses_when_expired
                else "Certificates that the authority revoked since are accepted."
            ),
            hint="Import the authority's next list, by a timer: manage.py securecore_certificates crl FILE.",
            id="securecore.W112",
        )
        for row in ending_lists(clock.now(), within=dt.timedelta())
    ]


DATABASE_CHECKS = (w112_revocation_lists,)
