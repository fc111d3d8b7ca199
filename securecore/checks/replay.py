from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

from securecore import conf
from securecore.conf import django_settings
from securecore.http import urlconf
from securecore.http.idempotency.claim_place import class_of

#: Backends with an ``add()`` that is one ``SET NX`` on a server that all hosts share. A cache in the process or in a
#: file would accept a request once on every host. A memcached that evicts new keys would accept a request once more
#: when memory is short.
_SHARED = {"django_redis.cache.RedisCache", "django.core.cache.backends.redis.RedisCache"}


def e401_replay_cache(**_: Any) -> list[CheckMessage]:
    if not conf.settings.REPLAY_CACHE or _is_shared(_configured().get("BACKEND", "")):
        return []
    return [
        Error(
            f"SECURECORE['REPLAY_CACHE'] = {conf.settings.REPLAY_CACHE!r} is no Redis that all hosts share: "
            "a request would be accepted once on each host.",
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
            "The cache of SECURECORE['REPLAY_CACHE'] hides the failures of its server, so a replay may be accepted.",
            hint="Remove IGNORE_EXCEPTIONS (DJANGO_REDIS_IGNORE_EXCEPTIONS) and REPLICA_READ_ONLY = False: without "
            "Redis the response must be 503.",
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
            "While Redis does not reply, every request that claims a nonce waits without limit.",
            hint="Set SOCKET_TIMEOUT and SOCKET_CONNECT_TIMEOUT (a second each, say) in OPTIONS of that cache.",
            id="securecore.W403",
        )
    ]


def _configured() -> dict[str, Any]:
    caches: dict[str, Any] = django_settings.CACHES
    return dict(caches.get(conf.settings.REPLAY_CACHE) or {}) if conf.settings.REPLAY_CACHE else {}


def _is_shared(backend: str) -> bool:
    try:
        backend_class = import_string(backend)
    except ImportError:
        return False
    return bool(_SHARED & {f"{base.__module__}.{base.__qualname__}" for base in backend_class.__mro__})


def w404_any_host(**_: Any) -> list[CheckMessage]:
    """Report ``*`` in ALLOWED_HOSTS.

    A DPoP proof and a message signature name a host, and securecore compares that host with the Host header.
    """
    if "*" not in django_settings.ALLOWED_HOSTS:
        return []
    return [
        Warning(
            "Every host name is accepted: a proof or a signature for another service works here, together with that "
            "service's name in the Host header.",
            hint="Name this service's own hosts in ALLOWED_HOSTS.",
            id="securecore.W404",
        )
    ]


def e405_fresh_in_a_transaction(**_: Any) -> list[CheckMessage]:
    """Report ``@fresh`` on a handler under ATOMIC_REQUESTS, where each request would raise ``Misuse``.

    A rollback of the request's transaction would give the nonce back. On a view function or on ``dispatch``, ``@fresh``
    exempts the view from that transaction.
    """
    if not django_settings.DATABASES.get(conf.settings.DATABASE, {}).get("ATOMIC_REQUESTS"):
        return []
    handlers = sorted({name for view in urlconf.callbacks() for name in _fresh_in_a_transaction(view)})
    if not handlers:
        return []
    return [
        Error(
            f"ATOMIC_REQUESTS opens a transaction before @fresh claims the nonce: {', '.join(handlers[:10])}.",
            hint="Write class Payouts(FreshMixin, APIView) in place of @fresh on the handler, with FreshMixin from "
            "securecore.http.decorators, or put @method_decorator(fresh, name='dispatch') on the class.",
            id="securecore.E405",
        )
    ]


def _fresh_in_a_transaction(view: Any) -> Iterator[str]:
    """Yield each handler of ``view`` with ``@fresh`` that runs in the transaction of ATOMIC_REQUESTS."""
    cls = class_of(view)
    if cls is None or conf.settings.DATABASE in getattr(view, "_non_atomic_requests", ()):
        return
    for name in (getattr(view, "actions", None) or {each: each for each in cls.http_method_names}).values():
        if hasattr(getattr(cls, name, None), "securecore_fresh"):
            yield f"{cls.__module__}.{cls.__qualname__}.{name}"


CHECKS = (
    e401_replay_cache,
    e402_replay_cache_hides_failures,
    w403_replay_cache_timeout,
    w404_any_host,
    e405_fresh_in_a_transaction,
)
