"""The settings of the chaos service plus one peer, which IDEMPOTENCY_PEER names (see idempotency_peers.py)."""

from __future__ import annotations

import os

os.environ.setdefault("CHAOS_DATABASE_URL", os.environ.get("TEST_DATABASE_URL") or "sqlite://:memory:")

from tools.chaos.settings import *  # noqa: F403
from tools.chaos.settings import INSTALLED_APPS as _OURS
from tools.chaos.settings import MIDDLEWARE as _CHAOS

ROOT_URLCONF = "benchmarks.idempotency_peers"
INSTALLED_APPS = [
    *_OURS,
    "drf_idempotency",
    "drf_idempotencykey",
    "rest_framework_idempotency_key",
]
#: The middleware of the peers that need one. The other peers are decorators or mixins.
MIDDLEWARE_OF = {
    "drf-idempotency": "drf_idempotency.middleware.IdempotencyMiddleware",
    "django-idempotency-key": "idempotency_key.middleware.ExemptIdempotencyKeyMiddleware",
    "djangorestframework-idempotency-key": "rest_framework_idempotency_key.middleware.IdempotencyKeyMiddleware",
    "drf-idem": "drf_idem.middleware.IdempotencyMiddleware",
}
_PEER = os.environ.get("IDEMPOTENCY_PEER", "")
MIDDLEWARE = [*_CHAOS, *([MIDDLEWARE_OF[_PEER]] if _PEER in MIDDLEWARE_OF else [])]

# One cache for all workers, which survives crashes of the database: the best case for peers that store in a cache.
_CACHE = {
    "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
    "LOCATION": os.environ.get("IDEMPOTENCY_CACHE", "/nonexistent"),
    "OPTIONS": {"MAX_ENTRIES": 1_000_000},
}
CACHES = {"default": _CACHE, "drf_idem": _CACHE}

# django-idempotency-key: replay with the original status, from the cache that the workers share.
IDEMPOTENCY_KEY = {
    "CONFLICT_STATUS_CODE": None,
    "STORAGE": {"CLASS": "idempotency_key.storage.CacheKeyStorage", "CACHE_NAME": "default"},
}
IDEMPOTENCY_KEY_LOCK_TIMEOUT = 30
# drf-idempotency: the lock of a killed worker expires within the run.
IDEMPOTENCY = {"LOCK_TTL_SECONDS": 10}
