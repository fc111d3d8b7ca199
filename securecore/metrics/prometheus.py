"""The meters and the state as Prometheus metrics. Needs the package ``prometheus_client``.

Under several processes (gunicorn with workers) set ``PROMETHEUS_MULTIPROC_DIR`` before the start; then each process
writes its counts to a file of that folder, and ``exposition()`` in any process sums all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from securecore import meters
from securecore.meters import Meter
from securecore.metrics import state

CONTENT_TYPE = CONTENT_TYPE_LATEST
Receive = Callable[[float], None]
#: From a lock without a wait (0.2 ms) to ``LOCK_TIMEOUT`` (2 s) and beyond.
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5)


def connect() -> None:
    """Add a receiver to each meter, once in a process."""
    for meter in meters.EVERY_METER:
        if not meter.receivers:
            _connect(meter)


def _connect(meter: Meter) -> None:
    name = f"securecore_{meter.name}"
    children: dict[str, Receive] = {}  # ``labels()`` takes a lock and builds a key: 2 us of each measurement
    metric: Histogram | Counter
    if meter.is_time:
        metric = Histogram(name, meter.help, [meter.label], buckets=_SECONDS)
    else:
        metric = Counter(name, meter.help, [meter.label])

    def receive(value: float, label: str) -> None:
        child = children.get(label)
        if child is None:
            of_label = metric.labels(label)
            child = children[label] = of_label.observe if isinstance(of_label, Histogram) else of_label.inc
        child(value)

    meter.receivers.append(receive)


class StateCollector(Collector):
    """The gauges, which the database answers at each scrape (at most once in ``state.SECONDS``)."""

    def collect(self) -> Iterator[Metric]:
        for gauge in state.read():
            family = GaugeMetricFamily(
                f"securecore_{gauge.name}", gauge.help, labels=[gauge.label] if gauge.label else []
            )
            for label, value in gauge.values.items():
                family.add_metric([label] if gauge.label else [], value)
            yield family


def exposition() -> bytes:
    """Return every metric in Prometheus' text format. Reads the database."""
    state_registry = CollectorRegistry()
    state_registry.register(StateCollector())
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        counted = CollectorRegistry()
        multiprocess.MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
    else:
        counted = REGISTRY
    return generate_latest(counted) + generate_latest(state_registry)
