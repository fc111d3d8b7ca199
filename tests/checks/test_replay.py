from __future__ import annotations

from typing import Any

import pytest
from django.core.cache.backends.redis import RedisCache

from tests.checks.findings import found

DJANGO_REDIS = "django_redis.cache.RedisCache"
TIMEOUT = {"SOCKET_TIMEOUT": 1}


class OwnRedisCache(RedisCache):
    """A cache backend of a project. The check judges it by the class that it inherits from."""


@pytest.fixture
def cache(settings: Any) -> Any:
    """`cache(BACKEND, OPTION=value)` configures the cache of the nonces."""

    def cache(backend: str, **options: Any) -> None:
        settings.CACHES = {"seen": {"BACKEND": backend, "LOCATION": "redis://127.0.0.1:1", "OPTIONS": options}}
        settings.SECURECORE = {**settings.SECURECORE, "REPLAY_CACHE": "seen"}

    return cache


@pytest.mark.parametrize(
    "backend",
    [DJANGO_REDIS, "django.core.cache.backends.redis.RedisCache", f"{__name__}.OwnRedisCache"],
)
def test_a_shared_redis_is_good(cache: Any, backend: str) -> None:
    cache(backend, **TIMEOUT)
    assert found() == []


@pytest.mark.parametrize(
    "kind", ["locmem.LocMemCache", "filebased.FileBasedCache", "dummy.DummyCache", "db.DatabaseCache"]
)
def test_other_caches_are_refused(cache: Any, kind: str) -> None:
    cache(f"django.core.cache.backends.{kind}", **TIMEOUT)
    assert found() == ["E401"]


@pytest.mark.parametrize("backend", ["", "no.such.Cache"])
def test_what_is_no_cache_is_refused(cache: Any, backend: str) -> None:
    cache(backend, **TIMEOUT)
    assert found() == ["E401"]


def test_an_alias_that_is_not_there_is_refused(settings: Any) -> None:
    settings.SECURECORE = {**settings.SECURECORE, "REPLAY_CACHE": "nowhere"}
    assert found() == ["E401"]


@pytest.mark.parametrize("option", [{"IGNORE_EXCEPTIONS": True}, {"REPLICA_READ_ONLY": False}])
def test_a_cache_that_hides_its_failures_is_refused(cache: Any, option: dict[str, Any]) -> None:
    cache(DJANGO_REDIS, **TIMEOUT, **option)
    assert found() == ["E402"]


def test_the_setting_for_all_caches_counts_too(cache: Any, settings: Any) -> None:
    settings.DJANGO_REDIS_IGNORE_EXCEPTIONS = True
    cache(DJANGO_REDIS, **TIMEOUT)
    assert found() == ["E402"]
    cache(DJANGO_REDIS, **TIMEOUT, IGNORE_EXCEPTIONS=False)
    assert found() == []


def test_an_endless_wait_is_warned_of(cache: Any) -> None:
    cache(DJANGO_REDIS)
    assert found() == ["W403"]
    cache(DJANGO_REDIS, CONNECTION_POOL_KWARGS={"socket_timeout": 1})
    assert found() == []


def test_nothing_is_asked_of_caches_for_other_things(settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.DJANGO_REDIS_IGNORE_EXCEPTIONS = False
    assert found() == []


@pytest.mark.parametrize(("hosts", "ids"), [(["*"], ["W404"]), (["pay.example", "*"], ["W404"]), (["*.x", ".x"], [])])
def test_any_host_is_nobody_s(settings: Any, hosts: list[str], ids: list[str]) -> None:
    settings.ALLOWED_HOSTS = hosts
    assert found() == ids
