"""Measure the cost of an idempotency key for a POST, and its guarantee under SIGKILL: securecore and its peers.

    python -m tests.support.postgres -- python -m benchmarks.idempotency_cost [--rounds N] [--keys N]

First the cost: one process, one PostgreSQL, and all peers in turn within each round, so that a slow machine slows all
of them. A request passes through Django's whole handler; the cost is its time minus the time of the bare view. Then the
guarantee (--keys 0 skips it): 4 twins of each key, retried until a 2xx, under 4 gunicorn workers, while workers are
killed every 0.4 s and PostgreSQL every 5 s (see tools/chaos).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.idempotency_settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.handlers.base import BaseHandler  # noqa: E402
from django.db import connection, reset_queries  # noqa: E402
from django.test import RequestFactory  # noqa: E402
from django.test.utils import override_settings, setup_databases, teardown_databases  # noqa: E402

from benchmarks.idempotency_peers import VIEWS  # noqa: E402
from securecore import clock  # noqa: E402
from securecore.identity import enroll, parse_pem  # noqa: E402
from securecore.testing import Authority  # noqa: E402
from tools.chaos.checker import Verdict, check  # noqa: E402
from tools.chaos.idempotency import run  # noqa: E402
from tools.chaos.place import place  # noqa: E402

#: The peers that keep their promise under kills, or nearly keep it. The other peers are listed, but not compared.
WORKING = ("drf-idempotency", "drf-idempotencykey", "djangorestframework-idempotency-key")
GIVE_UP_AFTER = 40.0  # seconds; some peers leave a key locked for an hour when a worker dies

Call = Callable[[], Any]


def caller(name: str, environ: dict[str, str]) -> Call:
    """Return a function that makes one request with a new key to the view ``name``, and checks the status."""
    extra = [settings.MIDDLEWARE_OF[name]] if name in settings.MIDDLEWARE_OF else []
    handler = BaseHandler()
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, *extra]):
        handler.load_middleware()
    factory = RequestFactory(**environ)

    def call() -> Any:
        key = str(uuid.uuid4())
        body, headers = json.dumps({"key": key}), {"Idempotency-Key": key, "X-Request-ID": key}
        request: Any = factory.post(f"/{name}", body, "application/json", secure=True, headers=headers)
        response = handler.get_response(request)
        assert response.status_code == 201, (name, response.status_code, response.content)
        return response

    return call


def statements(call: Call) -> list[str]:
    """Return the statements of one call, transactions included."""
    connection.force_debug_cursor = True
    reset_queries()
    try:
        call()
        return [query["sql"] for query in connection.queries]
    finally:
        connection.force_debug_cursor = False


def measured(call: Call, count: int) -> float:
    """Return the microseconds of one call, as the mean of ``count``."""
    started = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - started) / count * 1e6


def costs(rounds: int) -> dict[str, list[float]]:
    """Print and return each peer's cost in each round: the microseconds beyond the bare view."""
    certificate = Authority().issue("alice")
    enroll(certificate=parse_pem(certificate.pem), user=User.objects.create_user("alice"), now=clock.now())
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE chaos_effect (id varchar(40) PRIMARY KEY, key varchar(200) NOT NULL)")
    calls = {name: caller(name, certificate.environ) for name in VIEWS}
    added: dict[str, list[float]] = {name: [] for name in VIEWS}
    bare: list[float] = []
    for call in calls.values():
        measured(call, 20)
    for number in range(rounds):
        figures = {name: measured(calls[name], 30) for name in sorted(calls, reverse=bool(number % 2))}
        bare.append(figures["bare"])
        for name, figure in figures.items():
            added[name].append(figure - figures["bare"])
    base = len(statements(calls["bare"]))
    print(f"bare POST: {statistics.median(bare):.0f} us, {base} statements\n")
    for name in VIEWS:
        if name != "bare":
            more = len(statements(calls[name])) - base
            print(f"{name:36} +{statistics.median(added[name]):6.0f} us  +{more} statements")
    return added


def worth(name: str, keys: int, folder: Path) -> Verdict:
    """Return the checker's verdict about ``name`` under kills."""
    os.environ["IDEMPOTENCY_PEER"] = name
    os.environ["IDEMPOTENCY_CACHE"] = str(folder / name)
    with place(settings="benchmarks.idempotency_settings") as here:
        run(here, folder / f"{name}.jsonl", keys=keys, urls=[f"/{name}"], give_up_after=GIVE_UP_AFTER)
        return check(folder / f"{name}.jsonl", here.database_url)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--keys", type=int, default=150)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="securecore-benchmark-") as folder:
        settings.CACHES["default"]["LOCATION"] = folder
        databases = setup_databases(verbosity=0, interactive=False)
        try:
            added = costs(chosen.rounds)
        finally:
            teardown_databases(databases, verbosity=0)
        cheapest = min(WORKING, key=lambda name: statistics.median(added[name]))
        ratio = statistics.median(
            ours / theirs for ours, theirs in zip(added["securecore"], added[cheapest], strict=True)
        )
        print(f"\nratio to the cheapest of {', '.join(WORKING)} ({cheapest}): {ratio:.2f}\n")
        for name in VIEWS if chosen.keys else ():
            print(f"{name}: {worth(name, chosen.keys, Path(folder))}\n", flush=True)


if __name__ == "__main__":
    main()
