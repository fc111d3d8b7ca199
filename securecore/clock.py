"""The one place that reads the clock.

All code below the edge takes ``now`` as an argument, so that one request uses one instant and no test has to freeze
time. Checks at a gate are the exception: they take this function, and read the clock before and after the wait.
"""

from __future__ import annotations

import datetime as dt


def now() -> dt.datetime:
    """Return the current instant, aware, in UTC."""
    return dt.datetime.now(dt.UTC)
