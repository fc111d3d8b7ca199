"""Send four twins of every key, each retried until a 2xx, while workers and the database are killed."""

from __future__ import annotations

import itertools
import json
import queue
import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.chaos.client import NoAnswer, clients, send
from tools.chaos.history import History
from tools.chaos.killers import DATABASE_EVERY, WORKER_EVERY, kill_database, killing_workers
from tools.chaos.place import Place, Service

URLS = ("/once", "/rest/once")
TWINS = 4
CLIENTS = 32
GIVE_UP_AFTER = 120  # seconds; a twin without a 2xx by then is a failure that the checker reports


@dataclass(frozen=True)
class Order:
    key: str
    twin: int
    url: str

    @property
    def body(self) -> str:
        return json.dumps({"key": self.key})


def run(
    place: Place,
    history_file: Path,
    *,
    keys: int,
    urls: Sequence[str] = URLS,
    twins: int = TWINS,
    worker_every: float = WORKER_EVERY,
    database_every: float = DATABASE_EVERY,
    give_up_after: float = GIVE_UP_AFTER,
) -> None:
    """Send ``keys`` times ``twins`` requests, key by key to ``urls`` in turn, and write ``history_file``."""
    orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
    for number, twin in itertools.product(range(keys), range(twins)):
        orders.put(Order(f"key-{number}", twin, urls[number % len(urls)]))
    with History(history_file) as history:
        history.write("started", keys=keys, twins=twins)

        def work() -> None:
            while True:
                try:
                    _insist(place.service, history, orders.get_nowait(), give_up_after)
                except queue.Empty:
                    return

        with killing_workers(place.service, history, every=worker_every), clients(CLIENTS, work) as over:
            if place.postgres:
                kill_database(place.postgres, history, until=over, every=database_every)
        history.write("ended")


def _insist(service: Service, history: History, order: Order, give_up_after: float) -> None:
    """Send ``order`` again until a 2xx arrives, as a client does after a lost response."""
    # One peer in benchmarks/ demands a UUID as the key, and another peer reads the key from X-Request-ID.
    key = str(uuid.uuid5(uuid.NAMESPACE_URL, order.key))
    headers = service.headers | {"Idempotency-Key": key, "X-Request-ID": key}
    deadline = time.monotonic() + give_up_after
    while time.monotonic() < deadline:
        try:
            answer = send(service.socket, "POST", order.url, body=order.body, headers=headers)
        except NoAnswer as problem:
            history.write("no-answer", key=order.key, twin=order.twin, reason=str(problem))
        else:
            history.write("answer", key=order.key, twin=order.twin, status=answer.status, body=answer.body)
            if 200 <= answer.status < 300:
                return
        time.sleep(random.uniform(0.02, 0.2))
