"""The one place that reads the clock.

All code below the edge takes ``now`` as an argument, so that one request uses one instant and no test has to freeze
time. Checks at a gate are the exception: they take this function, and read the clock before and after the wait.
"""

from __future__ import annotations

import datetime as dt

#: Seconds. The most that two honest clocks may differ, for every comparison with the clock of another host. FAPI 2.0
#: section 5.3.2.1 demands that a server accepts 10 seconds into the future; NTP keeps a host within a fraction of one.
#: A client with a worse clock takes the server's time from a DPoP nonce (``DPOP_NONCE_REQUIRED``).
SKEW = 10


def now() -> dt.datetime:
    """Return the current instant, aware, in UTC."""
    return dt.datetime.now(dt.UTC)
