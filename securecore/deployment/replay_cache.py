"""Trials of the replay cache, if ``REPLAY_CACHE`` names one: shared, atomic, complete and durable."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import uuid4

from django.core.cache import caches

from securecore.conf import django_settings, settings
from securecore.deployment.concurrent_connections import LIMIT, ConcurrentConnections
from securecore.deployment.trials import Trial, Verdict, broken, kept, not_provable

#: Processes that claim one key at once. Each starts in some 0.3 s.
_PROCESSES = 3
#: Seconds after which the server deletes the key of a trial that was killed.
_LIFETIME = 30
_NO_REDIS = "no Redis: the backend has no client of one, and hosts do not share the memory or the files of another"


def shared_trial(connections: ConcurrentConnections) -> Verdict:
    """Claim one key in new processes: a cache in the memory of a process accepts a request in each of them."""
    key = f"securecore:prove:{uuid4().hex}"
    cache = caches[settings.REPLAY_CACHE]
    try:
        wins = _race(key)
        wins += cache.add(key, 1, timeout=_LIFETIME) is True
    finally:
        cache.delete(key)
    if wins != 1:
        return broken(f"{wins} of {_PROCESSES + 1} processes claimed one key")
    return kept(f"one of {_PROCESSES + 1} processes claimed the key")


def _race(key: str) -> int:
    configured = {
        name: getattr(django_settings, name)
        for name in dir(django_settings)
        if name == "CACHES" or name.startswith("DJANGO_REDIS_")
    }
    # By the pipe, and not as arguments, which every user of the host can read: CACHES may hold a password.
    given = pickle.dumps((configured, settings.REPLAY_CACHE, key, _LIFETIME))
    with ExitStack() as stack:
        children = [stack.enter_context(_child(given)) for _ in range(_PROCESSES)]
        for child in children:
            child.stdout.readline()  # it is ready
        for child in children:
            child.stdin.write(b"go\n")
            child.stdin.flush()
        replies = [child.communicate(timeout=LIMIT) for child in children]
    failed = [errors.decode(errors="replace").strip().rpartition("\n")[2] for reply, errors in replies if not reply]
    if failed:
        raise RuntimeError(failed[0])
    return sum(reply == b"True\n" for reply, _ in replies)


@contextmanager
def _child(given: bytes) -> Iterator[Any]:
    """Start a process that reads ``given``; end it behind the block."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "securecore.deployment.replay_cache_process"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment) as child:  # noqa: S603
        assert child.stdin is not None  # noqa: S101  for mypy
        try:
            child.stdin.write(given)
            child.stdin.flush()
            yield child
        finally:
            child.kill()


def eviction_trial(connections: ConcurrentConnections) -> Verdict:
    """A server that evicts keys when its memory is full forgets a nonce that it still has to refuse."""
    facts = _info("memory")
    if facts is None:
        return broken(_NO_REDIS)
    limit, policy = facts.get("maxmemory"), facts.get("maxmemory_policy")
    if limit is None or policy is None:
        return not_provable("the server shows no maxmemory")
    text = f"maxmemory={limit}, maxmemory-policy={policy}"
    return broken(text) if policy != "noeviction" else kept(text)


def persistence_trial(connections: ConcurrentConnections) -> Verdict:
    """A server that restarts without its last keys accepts their nonces again."""
    facts = _info("persistence")
    if facts is None:
        return broken(_NO_REDIS)
    if "aof_enabled" not in facts:
        return not_provable("the server does not show its persistence")
    if facts["aof_enabled"] != 1:
        return broken("appendonly=no: a restart loses keys")
    try:
        shown = _client().config_get("*appendfsync*")
    except Exception as error:
        return not_provable(f"appendonly=yes; appendfsync is not shown ({type(error).__name__})")
    fsync, pauses = shown.get("appendfsync"), shown.get("no-appendfsync-on-rewrite")
    text = f"appendonly=yes, appendfsync={fsync}, no-appendfsync-on-rewrite={pauses}"
    is_durable = fsync == "always" and pauses != "yes"
    return kept(text) if is_durable else broken(f"{text}: a crash of the host loses the last keys")


def failover_trial(connections: ConcurrentConnections) -> Verdict:
    """Redis replies before its replica has the key, so a failover may lose the key."""
    facts = _info("replication")
    if facts is None:
        return broken(_NO_REDIS)
    if "role" not in facts:
        return not_provable("the server does not show its role")
    if facts["role"] != "master":
        return broken(f"the server is a {facts['role']}")
    count = facts.get("connected_slaves", 0)
    return not_provable(f"{count} replicas; a failover may lose the last keys") if count else kept("no replica")


def _info(section: str) -> dict[str, Any] | None:
    client = _client()
    return None if client is None else dict(client.info(section))


def _client() -> Any:
    """Return the client of the cache's server, of django-redis or of Django's own backend; None for other backends."""
    cache: Any = caches[settings.REPLAY_CACHE]
    django_redis: Any = getattr(cache, "client", None)
    djangos_own: Any = getattr(cache, "_cache", None)
    if hasattr(django_redis, "get_client"):
        return django_redis.get_client(write=True)
    if hasattr(djangos_own, "get_client"):
        return djangos_own.get_client(None, write=True)
    return None


TRIALS = (
    Trial("P601", "The replay cache is shared by processes, and atomic", shared_trial),
    Trial("P602", "The replay cache evicts no nonce", eviction_trial),
    Trial("P603", "The replay cache survives a crash", persistence_trial),
    Trial("P604", "The replay cache survives a failover", failover_trial),
)
