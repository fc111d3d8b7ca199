"""Replace and read the rows of the last runs."""

from __future__ import annotations

import datetime as dt
import platform
from collections.abc import Mapping

from securecore.conf import settings
from securecore.last_runs.models import LastRun

#: The name of the purge's row.
PURGE = "purge"


def record(outcomes: Mapping[str, tuple[str, str]], *, now: dt.datetime) -> None:
    """Replace the rows of these names by outcome and detail. One statement; opens or joins a transaction."""
    host = platform.node()[:255]
    rows = [
        LastRun(name=name, at=now, host=host, outcome=outcome, detail=detail)
        for name, (outcome, detail) in sorted(outcomes.items())  # in one order, so that two runs end no deadlock
    ]
    LastRun.objects.using(settings.DATABASE).bulk_create(
        rows, update_conflicts=True, unique_fields=["name"], update_fields=["at", "host", "outcome", "detail"]
    )


def last_runs() -> dict[str, LastRun]:
    """Return the last runs by name."""
    return {run.name: run for run in LastRun.objects.using(settings.DATABASE).all()}
