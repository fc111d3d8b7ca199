"""Lose a Redis primary, and count the nonces that are accepted twice: python -m tools.failover.valkey [--mode MODE]

A primary, two replicas and three Sentinels run as real Valkey servers, and the claims go through django-redis, as with
``REPLAY_CACHE``. While the replicas lag, nonces are claimed; then the primary dies by SIGKILL, and Sentinel promotes a
replica. Behind the promotion each accepted nonce is presented again. The modes are the ways to configure it:

* ``plain``: ``SET NX``, as Django and django-redis do.
* ``min-replicas``: the primary refuses writes while no replica has answered for a second.
* ``wait``: each claim waits until both replicas have the key, or counts as failed (``WaitingClient``).

``cluster`` sends claims to three primaries of a Redis Cluster, which django-redis does not know.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import itertools
import json
import signal
import statistics
import sys
import time
import uuid
from dataclasses import dataclass
from typing import Any

import django
import redis
from django.conf import settings

from tools.failover.valkey_servers import client, servers

MODES = ("plain", "min-replicas", "wait")
#: Claims before the failure, and while the replicas lag: too few seconds for Sentinel to give the replicas up.
CLAIMS, LAGGING_CLAIMS = 100, 30
#: MiB that fill the buffers of the kernel between the primary and a frozen replica.
BUFFERED = 48


@dataclass
class Outcome:
    """The numbers of a run: claims that were accepted and refused while the replicas lagged and after."""

    mode: str
    accepted: int = 0
    refused: int = 0
    replayed: int = 0
    seconds: float = 0.0
    #: Median milliseconds of a claim before the failure.
    median: float = 0.0

    def __str__(self) -> str:
        if self.mode == "cluster":
            return (
                f"{self.mode:13} {self.accepted:4} accepted and {self.refused:4} refused (503): their keys are on "
                f"other servers; {self.replayed} accepted a second time"
            )
        return (
            f"{self.mode:13} {self.accepted:4} accepted and {self.refused:4} refused (503) while the replicas lag; "
            f"service {self.seconds:.1f} s after the death; {self.replayed} accepted a second time; "
            f"a claim takes {self.median:.2f} ms"
        )


def lose_primary(mode: str) -> Outcome:
    """Run the scenario in the configured Django; see the module's docstring."""
    with servers() as running:
        limit = ["min-replicas-to-write 1", "min-replicas-max-lag 1"] if mode == "min-replicas" else []
        durable = ["appendonly yes", "appendfsync always", "repl-diskless-sync-delay 0", "repl-ping-replica-period 1"]
        durable.append("client-output-buffer-limit replica 0 0 0")
        primary = running.start(*durable, *limit)
        replicas = [running.start(*durable, *limit, f"replicaof 127.0.0.1 {primary}") for _ in range(2)]
        running.wait(lambda: client(primary).info("replication")["connected_slaves"] == 2)
        running.wait(lambda: all(client(port).info("replication")["master_link_status"] == "up" for port in replicas))
        watch = [f"sentinel monitor seen 127.0.0.1 {primary} 2", "sentinel down-after-milliseconds seen 1000"]
        watch += ["sentinel failover-timeout seen 5000"]
        sentinels = [running.start(*watch, sentinel=True) for _ in range(3)]
        running.wait(lambda: all(_knows(port) for port in sentinels))
        outcome, claims = Outcome(mode), _claims_of(mode, sentinels)
        running.wait(lambda: _is_served(claims))  # on a busy machine Sentinel answers late
        records = [uuid.uuid4() for _ in range(CLAIMS)]
        outcome.median = statistics.median(_timed(claims, record) for record in records) * 1e3
        running.signal(signal.SIGSTOP, *replicas)
        filling = client(primary)
        for number in range(BUFFERED):
            with contextlib.suppress(redis.ResponseError):  # min-replicas-to-write may refuse already
                filling.set(f"filling {number}", b"x" * 2**20, ex=20)
        lagging = (uuid.uuid4() for _ in range(LAGGING_CLAIMS))
        accepted = [record for record in lagging if _claimed(claims, record, outcome)]
        running.signal(signal.SIGKILL, primary)
        died = time.monotonic()
        running.signal(signal.SIGCONT, *replicas)
        running.wait(lambda: client(sentinels[0]).sentinel_get_master_addr_by_name("seen")[1] != primary)
        running.processes[primary].wait()
        running.restart(primary)  # Sentinel makes it a replica
        running.wait(lambda: _is_served(claims))
        outcome.seconds = time.monotonic() - died
        outcome.replayed = sum(_claim(claims, record) for record in [*records, *accepted])
        return outcome


def cluster() -> Outcome:
    """Claim nonces on a Redis Cluster of three primaries, by django-redis with the address of one."""
    with servers() as running:
        options = ["cluster-enabled yes", "cluster-require-full-coverage yes"]
        ports = [running.start(*options) for _ in range(3)]
        for number, port in enumerate(ports):
            client(port).execute_command("CLUSTER", "ADDSLOTSRANGE", number * 5461, (number + 1) * 5461 - (number < 2))
            client(port).execute_command("CLUSTER", "MEET", "127.0.0.1", ports[0])
        running.wait(lambda: all(client(p).execute_command("CLUSTER INFO")["cluster_state"] == "ok" for p in ports))
        claims = _cache({"BACKEND": "django_redis.cache.RedisCache", "LOCATION": f"redis://127.0.0.1:{ports[0]}"})
        outcome = Outcome("cluster")
        accepted = [record for record in (uuid.uuid4() for _ in range(CLAIMS)) if _claimed(claims, record, outcome)]
        outcome.replayed = sum(_claim(claims, record) for record in accepted)
        return outcome


def _claims_of(mode: str, sentinels: list[int]) -> str:
    class_name = "WaitingClient" if mode == "wait" else "SentinelClient"
    module = "tools.failover.waiting_client" if mode == "wait" else "django_redis.client"
    return _cache(
        {
            "BACKEND": "django_redis.cache.RedisCache",
            # django-redis keeps a pool for each URL, so each run names a database of its own.
            "LOCATION": f"redis://seen/{next(_DATABASES)}",
            "OPTIONS": {
                "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
                "CLIENT_CLASS": f"{module}.{class_name}",
                "CONNECTION_POOL_CLASS": "redis.sentinel.SentinelConnectionPool",
                "SENTINELS": [("127.0.0.1", port) for port in sentinels],
                "SENTINEL_KWARGS": {"socket_timeout": 1},
            },
        }
    )


_DATABASES = itertools.count()


def _cache(configured: dict[str, Any]) -> str:
    """Add a cache with a name of its own, so that no connection of an earlier run is used again."""
    from django.core.cache import caches

    name = f"seen{len(settings.CACHES)}"
    options = configured.setdefault("OPTIONS", {})
    options |= {"SOCKET_TIMEOUT": 3, "SOCKET_CONNECT_TIMEOUT": 3}
    settings.CACHES[name] = configured
    caches.settings[name] = configured
    return name


def _claim(cache: str, record: uuid.UUID) -> bool:
    """Claim as a request does. Raises ``ReplayStoreUnavailable``, of which the response is 503."""
    from securecore import clock
    from securecore.conf import settings as securecore_settings
    from securecore.replay import store

    _ = securecore_settings.DATABASE  # the first reading of a setting loads all of them
    vars(securecore_settings)["REPLAY_CACHE"] = cache
    now = clock.now().replace(microsecond=0) + dt.timedelta(seconds=1)
    return store.claim(record, made_at=now, now=now, kind="a nonce")


def _claimed(cache: str, record: uuid.UUID, outcome: Outcome) -> bool:
    from securecore.errors import ReplayStoreUnavailable

    try:
        won = _claim(cache, record)
    except ReplayStoreUnavailable:
        outcome.refused += 1
        return False
    outcome.accepted += won
    return won


def _is_served(cache: str) -> bool:
    from securecore.errors import ReplayStoreUnavailable

    try:
        return _claim(cache, uuid.uuid4())
    except ReplayStoreUnavailable:
        return False


def _timed(cache: str, record: uuid.UUID) -> float:
    began = time.perf_counter()
    _claim(cache, record)
    return time.perf_counter() - began


def _knows(sentinel: int) -> bool:
    state = client(sentinel).sentinel_master("seen")
    return int(state["num-slaves"]) == 2 and int(state["num-other-sentinels"]) == 2


def configure() -> None:
    """Configure Django for claims without a project."""
    settings.configure(
        CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "securecore"],
        SECURECORE={"REPLAY_CACHE": "default"},
        USE_TZ=True,
    )
    django.setup()


def main() -> int:
    """Print each outcome; return 1 if a mode that must lose nothing accepted a nonce twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=[*MODES, "cluster"], action="append")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    configure()
    lost = 0
    for mode in arguments.mode or [*MODES, "cluster"]:
        outcome = cluster() if mode == "cluster" else lose_primary(mode)
        print(json.dumps(vars(outcome)) if arguments.json else outcome, flush=True)
        lost += outcome.replayed if mode in ("wait", "cluster") else 0
    return 1 if lost else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # and stop the servers on the way
    sys.exit(main())
