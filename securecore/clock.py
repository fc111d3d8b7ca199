"""The one place that reads the clock.

Everything below the edge takes ``now`` as an argument, so that one request sees one instant and no test has to
freeze time.
"""

from __future__ import annotations

import datetime as dt


def now() -> dt.datetime:
    """Return the current instant, aware, in UTC."""
    return dt.datetime.now(dt.UTC)
