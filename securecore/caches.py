"""Memory that is bounded in number and in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


#: Callers, tokens or certificates that one cache of a process keeps. The largest entry, a parsed certificate, is about
#: 6 KiB, so that a full cache of certificates is 6 MiB. An evicted caller costs its next request some 100 us, not a
#: statement more, so there is no reason for a larger number.
SIZE = 1024
#: Seconds. No cache decides about a caller, so a shorter time is no safer, and a longer one saves nothing: parsing a
#: certificate again every five minutes is not measurable.
SECONDS = 300.0


class BoundedCache(Generic[Value]):
    """At most ``size`` values, each for less than ``seconds()``. The cache evicts the value that was put first.

    A value must stay true for ``seconds()``, since no value is removed earlier because it became wrong. The requests of
    different callers get the same object, so a value must be immutable, or its reader must copy the value:
    ``tests/structure/test_caches.py`` lists each cache with the reason. ``clock`` counts seconds and never goes
    back.
    """

    def __init__(
        self,
        *,
        size: int = SIZE,
        seconds: Callable[[], float] = lambda: SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.size, self._seconds, self._clock = size, seconds, clock
        self._values: dict[Hashable, tuple[float, Value]] = {}
        self._writing = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable) -> Value | None:
        """Return the value of ``key``, or None without a value or after its time."""
        since, value = self._values.get(key) or (None, None)
        if since is None or not self._clock() < since + self._seconds():
            return None
        return value

    def put(self, key: Hashable, value: Value, *, since: float | None = None) -> None:
        """Keep ``value`` until ``seconds()`` after ``since``, an instant of ``clock``; by default after now."""
        since = self._clock() if since is None else since
        with self._writing:
            self._values.pop(key, None)  # so that the key moves to the end, and is evicted last
            self._values[key] = (since, value)
            while len(self._values) > self.size:
                del self._values[next(iter(self._values))]
