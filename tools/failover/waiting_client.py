"""A client of django-redis: its ``add()`` succeeds when two replicas have the key. docs/redis.md quotes it."""

from __future__ import annotations

from typing import Any

from django_redis.client import SentinelClient  # type: ignore[import-untyped]

#: All replicas, since Sentinel may promote each of them.
REPLICAS = 2
#: Milliseconds, below SOCKET_TIMEOUT.
WITHIN = 50


class TooFewReplicas(Exception):
    """The key may be on the primary alone, so a failover may lose it."""


class WaitingClient(SentinelClient):  # type: ignore[misc]  # it has no types
    def add(self, key: Any, value: Any, timeout: Any = None, version: Any = None, client: Any = None) -> bool:
        # One connection and one round trip: WAIT counts the writes of its own connection.
        pipeline = self.get_client(write=True).pipeline(transaction=False)
        pipeline.set(self.make_key(key, version), self.encode(value), px=int(timeout * 1000), nx=True)
        pipeline.execute_command("WAIT", REPLICAS, WITHIN)
        is_new, replicas = pipeline.execute()
        if is_new and replicas < REPLICAS:
            raise TooFewReplicas(f"{replicas} of {REPLICAS} replicas have the key")
        return bool(is_new)
