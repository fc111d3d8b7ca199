"""Reads the memory of the service: from a debug endpoint, Prometheus metrics, or local processes."""

from __future__ import annotations

import re
import resource
import statistics
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from securecore_scan.client.request import Request
from securecore_scan.client.responses import json_field, require_json, require_success
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive, Skipped
from securecore_scan.plan import Memory

#: Requests to a debug endpoint for one reading: chance chooses the worker that answers each request.
READINGS = 6

#: Returns the bytes of each process, by the name that the source gives the process.
Reading = Callable[[], dict[str, float]]


class MemorySource:
    """Sums the memory of all processes. A process that does not answer this time counts with its last value."""

    def __init__(self, target: Target) -> None:
        self.name, self._read, self._readings = _choose(target, target.plan.memory)
        self._last: dict[str, float] = {}
        self._settled = False

    def settle(self) -> None:
        """Find every process. After this call a new process means that a worker was replaced or added."""
        for _ in range(3):
            self.total()
        self._settled = True

    def total(self) -> float:
        """Return the bytes of all processes. Raises ``Inconclusive`` if a worker was replaced or added."""
        seen = defaultdict(list)
        with ThreadPoolExecutor(max_workers=self._readings) as pool:
            readings = [pool.submit(self._read) for _ in range(self._readings)]
        for reading in readings:
            for process, value in reading.result().items():
                seen[process].append(value)
        if self._settled and set(seen) - set(self._last):
            raise Inconclusive("a worker was replaced or added while its memory was watched")
        self._last |= {process: statistics.median(values) for process, values in seen.items()}
        return sum(self._last.values())


def _choose(target: Target, plan: Memory) -> tuple[str, Reading, int]:
    if plan.url is not None:
        return f"{plan.field} of {plan.url}", lambda: _from_endpoint(target, plan), READINGS
    if plan.prometheus is not None:
        return plan.metric, lambda: _from_prometheus(target, plan), 1
    if plan.pid is not None:
        return f"resident memory of process {plan.pid} and its children", lambda: _from_processes(plan.pid or 0), 1
    raise Skipped("the plan names no source of memory readings: [memory] url, prometheus or pid")


def _from_endpoint(target: Target, plan: Memory) -> dict[str, float]:
    identity = target.transport.identity("admin" if target.transport.has("admin") else "owner")
    # A new connection for each request: over a kept connection the same worker would answer every time.
    document = require_json(target.transport.visit(identity, Request("GET", plan.url or "")))
    value = json_field(document, plan.field)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Inconclusive(f"GET {plan.url} has no number at {plan.field!r}")
    return {str(json_field(document, plan.process)): float(value)}


def _from_prometheus(target: Target, plan: Memory) -> dict[str, float]:
    text = require_success(target.get(plan.prometheus or "")).text
    found = re.findall(rf"^{re.escape(plan.metric)}(\{{[^}}]*\}})?\s+(\S+)", text, re.MULTILINE)
    if not found:
        raise Inconclusive(f"there is no {plan.metric} at the Prometheus URL")
    return {labels: float(value) for labels, value in found}


def _from_processes(pid: int) -> dict[str, float]:
    values = {}
    for process in _descendants(pid):
        try:
            pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        except OSError:
            continue
        values[str(process)] = float(pages * resource.getpagesize())
    if not values:
        raise Inconclusive(f"process {pid} does not exist, or this machine is not Linux")
    return values


def _descendants(pid: int) -> list[int]:
    """Return ``pid`` and every process below it."""
    found = [pid]
    for process in found:
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            found += map(int, children.read_text().split())
    return found
