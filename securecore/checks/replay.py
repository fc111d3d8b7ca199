from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

from securecore import conf
from securecore.conf import django_settings

#: Backends whose ``add()`` is one ``SET NX`` on a server that all hosts share. A cache in the process, a file or a
#: memcached that evicts what is new would accept a request once on every host, or once more when memory is short.
_SHARED = {"django_redis.cache.RedisCache", "django.core.cache.backends.redis.RedisCache"}


def e401_replay_cache(**_: Any) -> list[CheckMessage]:
    if not conf.settings.REPLAY_CACHE or _is_shared(_configured().get("BACKEND", "")):
        return []
    return [
        Error(
            f"SECURECORE['REPLAY_CACHE'] = {conf.settings.REPLAY_CACHE!r} is no Redis that all hosts share: "
            "a request would be accepted once on each of them.",
            hint="Name an alias of CACHES with BACKEND 'django_redis.cache.RedisCache', or leave it empty for the "
            "database.",
            id="securecore.E401",
        )
    ]


def e402_replay_cache_hides_failures(**_: Any) -> list[CheckMessage]:
    options = _configured().get("OPTIONS", {})
    ignored = options.get("IGNORE_EXCEPTIONS", getattr(django_settings, "DJANGO_REDIS_IGNORE_EXCEPTIONS", False))
    if not ignored and options.get("REPLICA_READ_ONLY", True):
        return []
    return [
        Error(
            "The cache of SECURECORE['REPLAY_CACHE'] goes on when its server is away, so nobody knows what was seen.",
            hint="Remove IGNORE_EXCEPTIONS (DJANGO_REDIS_IGNORE_EXCEPTIONS) and REPLICA_READ_ONLY = False: without "
            "Redis the answer must be 503.",
            id="securecore.E402",
        )
    ]


def w403_replay_cache_timeout(**_: Any) -> list[CheckMessage]:
    configured = _configured()
    options = configured.get("OPTIONS", {})
    named = {str(name).lower() for name in (*options, *options.get("CONNECTION_POOL_KWARGS", {}))}
    if not configured or "socket_timeout" in named:
        return []
    return [
        Warning(
            "A Redis that does not answer holds every request that must be fresh, for as long as it likes.",
            hint="Set SOCKET_TIMEOUT and SOCKET_CONNECT_TIMEOUT (a second each, say) in OPTIONS of that cache.",
            id="securecore.W403",
        )
    ]


def _configured() -> dict[str, Any]:
    caches: dict[str, Any] = django_settings.CACHES
    return dict(caches.get(conf.settings.REPLAY_CACHE) or {}) if conf.settings.REPLAY_CACHE else {}


def _is_shared(backend: str) -> bool:
    try:
        found = import_string(backend)
    except ImportError:
        return False
    return bool(_SHARED & {f"{each.__module__}.{each.__qualname__}" for each in found.__mro__})


def w404_any_host(**_: Any) -> list[CheckMessage]:
    """A DPoP proof and a message signature name the host that they are for; the Host header says which host we are."""
    if "*" not in django_settings.ALLOWED_HOSTS:
        return []
    return [
        Warning(
            "Every host is ours: a proof or a signature that was made for another service is accepted here, under that "
            "service's name in the Host header.",
            hint="Name this service's own hosts in ALLOWED_HOSTS.",
            id="securecore.W404",
        )
    ]


CHECKS = (e401_replay_cache, e402_replay_cache_hides_failures, w403_replay_cache_timeout, w404_any_host)
