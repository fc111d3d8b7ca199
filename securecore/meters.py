"""The places at which securecore measures itself. Without a receiver a measurement costs one attribute read.

``securecore.metrics`` adds a receiver for Prometheus and one for OpenTelemetry, each if its package is installed. No
module that measures knows either of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

#: Called with the value and the label. For a time, called by ``Meter.timed`` at the end of the block.
Receiver = Callable[[float, str], None]
#: Returns a context manager around a timed block, for example a span, or None; called with the meter's name and label.
Tracer = Callable[[str, str], AbstractContextManager[object] | None]

_NOTHING: AbstractContextManager[None] = nullcontext()


@dataclass(slots=True)
class Meter:
    """One quantity. ``label`` names the dimension; its values are few and from the code, never from a request."""

    name: str
    help: str
    label: str
    is_time: bool = False
    receivers: list[Receiver] = field(default_factory=list)
    tracers: list[Tracer] = field(default_factory=list)

    @property
    def is_on(self) -> bool:
        return bool(self.receivers or self.tracers)

    def add(self, label: str, value: float = 1) -> None:
        """Report ``value``, a number of occurrences, or seconds."""
        for receive in self.receivers:
            receive(value, label)

    def timed(self, label: str) -> AbstractContextManager[None]:
        """Return a context manager that reports the seconds of its block, also if the block raises."""
        return _Timer(self, label) if self.receivers or self.tracers else _NOTHING


class _Timer(AbstractContextManager[None]):
    """The time of one block, and the span around it. A class, since a generator would take twice as long."""

    __slots__ = ("_began", "_label", "_meter", "_spans")

    def __init__(self, meter: Meter, label: str) -> None:
        self._meter, self._label = meter, label
        self._spans = [span for trace in meter.tracers if (span := trace(meter.name, label)) is not None]

    def __enter__(self) -> None:
        for span in self._spans:
            span.__enter__()
        self._began = time.perf_counter()

    def __exit__(self, *error: Any) -> None:
        seconds = time.perf_counter() - self._began
        for receive in self._meter.receivers:
            receive(seconds, self._label)
        for span in self._spans:
            span.__exit__(*error)


REFUSED = Meter("requests_refused", "Refused requests by the code of the problem response.", "code")
CLAIMS_LOST = Meter("claims_lost", "Claims of a row that another request had claimed.", "kind")
EVENTS = Meter("events", "Events of securecore by their name.", "event")
WOULD_REFUSE = Meter("would_refuse", "Requests that observe mode let pass, by the code of the refusal.", "code")
LEASES = Meter("lease_lookups", "Snapshots of the caller: served under a lease, or read from the database.", "result")
GATE_WAIT = Meter("gate_wait_seconds", "Time to enter or close the gates of a principal.", "side", is_time=True)
REVOCATION = Meter("revocation_seconds", "Time until a revocation has returned.", "operation", is_time=True)
ONE_QUERY = Meter("query_seconds", "Time of the one query.", "query", is_time=True)

EVERY_METER = (REFUSED, CLAIMS_LOST, EVENTS, WOULD_REFUSE, LEASES, GATE_WAIT, REVOCATION, ONE_QUERY)
