"""Where the service's memory is to be seen: a debug endpoint, Prometheus, or processes of this machine."""

from __future__ import annotations

import re
import resource
import statistics
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from securecore_scan.client.target import Target, at, body, granted
from securecore_scan.client.wire import Request
from securecore_scan.plan import Memory
from securecore_scan.verdict import NotJudged, Skipped

#: Readings of a source of which chance chooses the worker that answers.
READINGS = 6

#: Bytes of each process, by what the source calls it.
Reading = Callable[[], dict[str, float]]


class Source:
    """Memory of all processes together. A process that did not answer this time counts with its last value."""

    def __init__(self, target: Target) -> None:
        self.name, self._read, self._readings = _chosen(target, target.plan.memory)
        self._last: dict[str, float] = {}
        self._settled = False

    def settle(self) -> None:
        """Find every process. From now on a new one means that a worker was replaced."""
        for _ in range(3):
            self.total()
        self._settled = True

    def total(self) -> float:
        """Return the bytes of all processes. Raises ``NotJudged`` if a process came or went."""
        seen = defaultdict(list)
        with ThreadPoolExecutor(max_workers=self._readings) as pool:
            readings = [pool.submit(self._read) for _ in range(self._readings)]
        for reading in readings:
            for process, value in reading.result().items():
                seen[process].append(value)
        if self._settled and set(seen) - set(self._last):
            raise NotJudged("a worker was replaced or added while its memory was watched")
        self._last |= {process: statistics.median(values) for process, values in seen.items()}
        return sum(self._last.values())


def _chosen(target: Target, plan: Memory) -> tuple[str, Reading, int]:
    if plan.url is not None:
        return f"{plan.field} of {plan.url}", lambda: _from_endpoint(target, plan), READINGS
    if plan.prometheus is not None:
        return plan.metric, lambda: _from_prometheus(target, plan), 1
    if plan.pid is not None:
        return f"resident memory of process {plan.pid} and its children", lambda: _from_processes(plan.pid or 0), 1
    raise Skipped("the plan names no memory to look at: [memory] url, prometheus or pid")


def _from_endpoint(target: Target, plan: Memory) -> dict[str, float]:
    who = "admin" if target.wire.has("admin") else "owner"
    # Over a connection of its own: with a kept one the same worker would answer each time.
    identity = target.wire.identity(who)
    document = body(target.wire.visit(identity, Request("GET", plan.url or "")))
    value = at(document, plan.field)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotJudged(f"GET {plan.url} has no number at {plan.field!r}")
    return {str(at(document, plan.process)): float(value)}


def _from_prometheus(target: Target, plan: Memory) -> dict[str, float]:
    text = granted(target.get(plan.prometheus or "")).text
    found = re.findall(rf"^{re.escape(plan.metric)}(\{{[^}}]*\}})?\s+(\S+)", text, re.MULTILINE)
    if not found:
        raise NotJudged(f"there is no {plan.metric} at the Prometheus URL")
    return {labels: float(value) for labels, value in found}


def _from_processes(pid: int) -> dict[str, float]:
    values = {}
    for process in _tree(pid):
        try:
            pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        except OSError:
            continue
        values[str(process)] = float(pages * resource.getpagesize())
    if not values:
        raise NotJudged(f"process {pid} is not there, or this is not Linux")
    return values


def _tree(pid: int) -> list[int]:
    found = [pid]
    for process in found:
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            found += map(int, children.read_text().split())
    return found
