"""The caches: bounded in number and in time, and never wrong."""

from __future__ import annotations

import datetime as dt
import secrets
import threading
from typing import Any

import jwt
import pytest
from cryptography.fernet import Fernet
from django.core import signing

from securecore import clock, tokens
from securecore.caches import BoundedCache
from securecore.errors import InvalidToken
from securecore.sessions import SessionStore, signatures
from securecore.tokens import access, keys
from tests.tokens.forge import claims, header, sign


class Limits:
    def __init__(self) -> None:
        self.now, self.seconds = 100.0, 10.0
        self.cache: BoundedCache[int] = BoundedCache(size=3, seconds=lambda: self.seconds, clock=lambda: self.now)


@pytest.fixture
def limits() -> Limits:
    return Limits()


def emptied(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> Any:
    """Replace this cache by an empty one for two values."""
    monkeypatch.setattr(module, name, BoundedCache(size=2, seconds=lambda: 10.0))
    return getattr(module, name)


class TestBoundedCache:
    def test_bounded_cache_keeps_so_many_and_the_newest(self, limits: Limits) -> None:
        for number in range(10):
            limits.cache.put(number, number)
            assert len(limits.cache) <= 3
        assert [limits.cache.get(number) for number in range(10)] == [None] * 7 + [7, 8, 9]

    def test_bounded_cache_that_is_told_again_goes_to_the_end_of_the_line(self, limits: Limits) -> None:
        for number in (1, 2, 3, 1, 4):
            limits.cache.put(number, number)
        assert [limits.cache.get(number) for number in (1, 2, 3, 4)] == [1, None, 3, 4]

    def test_bounded_cache_keeps_for_so_long(self, limits: Limits) -> None:
        limits.cache.put("a", 1)
        for now, value in ((100.0, 1), (109.9, 1), (110.0, None), (1e9, None)):
            limits.now = now
            assert limits.cache.get("a") == value

    def test_bounded_cache_counts_from_when_it_is_told(self, limits: Limits) -> None:
        limits.cache.put("a", 1, since=91.0)
        assert limits.cache.get("a") == 1
        limits.cache.put("a", 1, since=90.0)
        assert limits.cache.get("a") is None

    def test_bounded_cache_follows_its_limits(self, limits: Limits) -> None:
        for number in range(3):
            limits.cache.put(number, number)
        limits.seconds = 0
        assert limits.cache.get(2) is None
        limits.cache.size, limits.seconds = 1, 10
        limits.cache.put(3, 3)
        assert len(limits.cache) == 1

    def test_bounded_cache_holds_out_against_threads(self, limits: Limits) -> None:
        def work(start: int) -> None:
            for number in range(start, start + 2_000):
                limits.cache.put(number % 7, number)
                limits.cache.get(number % 5)

        threads = [threading.Thread(target=work, args=(start,)) for start in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(limits.cache) == 3


@pytest.mark.django_db
class TestGoodSignatures:
    @pytest.fixture
    def held(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        return emptied(monkeypatch, access, "_good")

    def test_good_signatures_are_verified_once(self, held: Any, now: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        token = sign(header(), claims(now))
        verified = tokens.verify(token, now=now)
        monkeypatch.setattr(jwt, "decode", None)
        assert tokens.verify(token, now=now) is verified

    def test_good_signatures_are_the_only_thing_remembered(self, held: Any, now: Any) -> None:
        """The dates of a token are judged at each use, and a bad token is not cached."""
        token = sign(header(), claims(now))
        tokens.verify(token, now=now)
        for late in (10_000, -10_000):
            with pytest.raises(InvalidToken):
                tokens.verify(token, now=now + dt.timedelta(seconds=late))
        for _ in range(3):
            with pytest.raises(InvalidToken):
                tokens.verify(token[:-6] + "AAAAAA", now=now)
        assert len(held) == 1

    def test_good_signatures_are_few(self, held: Any, now: Any) -> None:
        for _ in range(5):
            tokens.verify(sign(header(), claims(now)), now=now)
        assert len(held) <= 2

    @pytest.mark.django_db
    @pytest.mark.parametrize("name", ["TOKEN_AUDIENCE", "TOKEN_ISSUER"])
    def test_good_signatures_are_those_for_us(self, held: Any, now: Any, settings: Any, name: str) -> None:
        """A stored key stays when the settings change: only the new audience or issuer refuses the token."""
        settings.SECURECORE = settings.SECURECORE | {"ENCRYPTION_KEYS": [Fernet.generate_key().decode()]}
        keys.rotate(algorithm="ES256", lead=0, now=now)
        token, _ = tokens.issue(subject="1", client_id="payments", binding="x5t#S256:x", now=now)
        tokens.verify(token, now=now)
        settings.SECURECORE = settings.SECURECORE | {name: "https://elsewhere"}
        with pytest.raises(InvalidToken):
            tokens.verify(token, now=now)

    def test_good_signatures_are_of_a_key_that_is_still_ours(self, held: Any, now: Any, settings: Any) -> None:
        token = sign(header(), claims(now))
        tokens.verify(token, now=now)
        (key,) = settings.SECURECORE["TOKEN_SIGNING_KEYS"]
        settings.SECURECORE = settings.SECURECORE | {"TOKEN_SIGNING_KEYS": [key | {"kid": "another name"}]}
        with pytest.raises(InvalidToken):
            tokens.verify(token, now=now)

    def test_good_signatures_hold_no_token(self, held: Any, now: Any) -> None:
        token = sign(header(), claims(now))
        tokens.verify(token, now=now)
        assert token not in repr(held.__dict__)


@pytest.mark.django_db
def test_stored_keys_are_few_and_have_no_private_half(
    settings: Any, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    settings.SECURECORE = settings.SECURECORE | {"ENCRYPTION_KEYS": [Fernet.generate_key().decode()]}
    held: Any = BoundedCache(size=2, seconds=lambda: 10.0)
    monkeypatch.setattr(keys, "_known", held)
    kids = [keys.rotate(algorithm="ES256", lead=0, now=clock.now()) for _ in range(4)]
    for kid in kids:
        keys.known_key(kid, clock.now())
    assert len(held) == 2
    with django_assert_num_queries(0):
        known = keys.known_key(kids[-1], clock.now())
    assert known is not None
    assert known.private is None


class TestSignedSessions:
    """The contents of a session. Their signature is verified once."""

    @pytest.fixture
    def held(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        return emptied(monkeypatch, signatures, "_payloads")

    def test_signed_sessions_are_verified_once_and_read_anew(self, held: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        store = SessionStore()
        signed = store.encode({"cart": [1]})
        store.decode(signed)["cart"].append(2)
        monkeypatch.setattr(signing, "loads", None)
        assert store.decode(signed) == {"cart": [1]}

    def test_signed_sessions_are_ours_under_the_same_keys_only(self, held: Any, settings: Any) -> None:
        store = SessionStore()
        signed = store.encode({"who": "alice"})
        assert store.decode(signed) == {"who": "alice"}
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]
        assert store.decode(signed) == {"who": "alice"}
        settings.SECRET_KEY_FALLBACKS = []
        assert store.decode(signed) == {}

    def test_signed_sessions_are_those_of_a_session(self, held: Any) -> None:
        """A value that other code of the project signed opens no session, and a session's contents pass for no other
        value.
        """
        signed = SessionStore().encode({"who": "alice"})
        assert SessionStore().decode(signed)
        with pytest.raises(signing.BadSignature):
            signatures.signed_payload(signed, "another salt")

    def test_signed_sessions_are_whole(self, held: Any) -> None:
        store = SessionStore()
        signed = store.encode({"who": "alice"})
        for broken in (signed[:-1], signed + "A", signed.replace(":", ";"), "", "é", "\x00"):
            assert store.decode(broken) == {}
        assert len(held) == 0

    def test_signed_sessions_are_few_and_small(self, held: Any) -> None:
        store = SessionStore()
        for number in range(5):
            store.decode(store.encode({"number": number}))
        assert len(held) == 2
        held.put("nothing else", b"")
        for large in (secrets.token_hex(1_024), "a" * 100_000):  # the second value is small after compression
            assert store.decode(store.encode({"large": large})) == {"large": large}
        assert set(held._values) >= {"nothing else"}
        assert not any("large" in payload.decode() for _, payload in held._values.values())
