"""A clock that moves only when a test moves it."""

from __future__ import annotations

import datetime as dt
from types import TracebackType
from typing import Self
from unittest import mock

from securecore import clock
from securecore.arguments import require_instant


class FakeClock:
    """Replace securecore's clock inside a ``with`` block, and move it by ``advance()``.

    ::

        with FakeClock() as fake_clock:
            client.post("/auth/login")
            fake_clock.advance(hours=2)
            assert client.get("/page").status_code == 401  # the session has expired

    Only securecore uses this clock. Timestamps of Django, and those that a client library writes into a proof, come
    from the real one. Leases count by another clock and do not move. Raises ``Misuse`` for a naive ``now``.
    """

    def __init__(self, now: dt.datetime | None = None) -> None:
        if now is not None:
            require_instant(now=now)
        self.now = now or clock.now()
        self._patch = mock.patch.object(clock, "now", self._read)

    def _read(self) -> dt.datetime:
        return self.now

    def __enter__(self) -> Self:
        self._patch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._patch.stop()

    def advance(self, **duration: float) -> dt.datetime:
        """Move the clock by the arguments of ``timedelta``, for example ``minutes=5``; return the new instant."""
        self.now += dt.timedelta(**duration)
        return self.now
