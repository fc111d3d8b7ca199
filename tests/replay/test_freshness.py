from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings
from django.views import View as DjangoView

from securecore import clock
from securecore.errors import (
    Misuse,
    NonceMalformed,
    NonceMissing,
    NonceReused,
    TimestampMalformed,
    TimestampMissing,
    TimestampStale,
)
from securecore.http.decorators import fresh
from securecore.replay import SeenNonce, claim_nonce, parse_timestamp
from tests.support.views import effects

NOW = dt.datetime(2026, 5, 4, 12, 0, 0, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
NONCE = "n0nce-of-sixteen"


def seconds(instant: dt.datetime) -> str:
    return str(int(instant.timestamp()))


class TestParseTimestamp:
    @pytest.mark.parametrize("presented", [None, ""])
    def test_parse_timestamp_refuses_a_missing_one(self, presented: str | None) -> None:
        with pytest.raises(TimestampMissing):
            parse_timestamp(presented, now=NOW)

    @pytest.mark.parametrize(
        "presented",
        ["soon", "1.5", "-1", "+1", " 1", "1 ", "1_0", "0x10", "1e3", "١٢٣", "1,1", "9" * 12, "9" * 5000, "\x00"],
    )
    def test_parse_timestamp_refuses_what_is_no_count_of_seconds(self, presented: str) -> None:
        with pytest.raises(TimestampMalformed):
            parse_timestamp(presented, now=NOW)

    @pytest.mark.parametrize("offset", [-60, -1, 0, 1, 60])
    def test_parse_timestamp_accepts_both_edges_of_the_window(self, offset: int) -> None:
        made_at = NOW + offset * SECOND
        assert parse_timestamp(seconds(made_at), now=NOW) == made_at

    @pytest.mark.parametrize("offset", [-86_400, -61, 61, 86_400])
    def test_parse_timestamp_refuses_both_sides_beyond_it(self, offset: int) -> None:
        with pytest.raises(TimestampStale):
            parse_timestamp(seconds(NOW + offset * SECOND), now=NOW)

    def test_parse_timestamp_refuses_the_last_second_that_can_be_written(self) -> None:
        with pytest.raises(TimestampStale):
            parse_timestamp("9" * 11, now=NOW)


@pytest.mark.django_db
class TestClaimNonce:
    def test_claim_nonce_accepts_a_nonce_once(self) -> None:
        claim_nonce(NONCE, scope="alice", made_at=NOW, now=NOW)
        with pytest.raises(NonceReused):
            claim_nonce(NONCE, scope="alice", made_at=NOW, now=NOW)

    def test_claim_nonce_keeps_callers_apart(self) -> None:
        claim_nonce(NONCE, scope="alice", made_at=NOW, now=NOW)
        claim_nonce(NONCE, scope="bob", made_at=NOW, now=NOW)

    def test_claim_nonce_does_not_confuse_where_scope_ends_and_nonce_begins(self) -> None:
        claim_nonce("b" * 16 + "c", scope="a", made_at=NOW, now=NOW)
        claim_nonce("b" * 15 + "c" + "x", scope="ab", made_at=NOW, now=NOW)
        assert SeenNonce.objects.count() == 2

    @pytest.mark.parametrize("offset", [-60, 0, 60])
    def test_claim_nonce_remembers_it_for_as_long_as_its_timestamp_is_accepted(self, offset: int) -> None:
        made_at = NOW + offset * SECOND
        claim_nonce(NONCE, scope="alice", made_at=made_at, now=NOW)
        last_accepted = made_at + 60 * SECOND
        parse_timestamp(seconds(made_at), now=last_accepted)
        with pytest.raises(NonceReused):
            claim_nonce(NONCE, scope="alice", made_at=made_at, now=last_accepted)

    def test_claim_nonce_remembers_it_for_a_host_whose_clock_is_slow(self) -> None:
        """That host still accepts the timestamp ten seconds after this host refuses it."""
        claim_nonce(NONCE, scope="alice", made_at=NOW, now=NOW)
        with pytest.raises(NonceReused):
            claim_nonce(NONCE, scope="alice", made_at=NOW, now=NOW + 70 * SECOND)

    def test_claim_nonce_forgets_it_afterwards_whether_it_was_purged_or_not(self) -> None:
        claim_nonce(NONCE, scope="alice", made_at=NOW, now=NOW)
        later = NOW + 72 * SECOND
        claim_nonce(NONCE, scope="alice", made_at=later, now=later)
        assert SeenNonce.objects.get().expires_at == later + 71 * SECOND

    def test_claim_nonce_stores_no_raw_nonce(self) -> None:
        claim_nonce(NONCE, scope="alice", made_at=NOW, now=NOW)
        assert NONCE not in str(SeenNonce.objects.values().get())

    @pytest.mark.parametrize("presented", [None, ""])
    def test_claim_nonce_refuses_a_missing_one(self, presented: str | None) -> None:
        with pytest.raises(NonceMissing):
            claim_nonce(presented, scope="alice", made_at=NOW, now=NOW)

    @pytest.mark.parametrize(
        "presented", ["short", "x" * 129, "with space in it!", "bell\x07bell\x07bell\x07bell", "ü" * 16]
    )
    def test_claim_nonce_refuses_what_is_not_visible_ascii_of_the_right_length(self, presented: str) -> None:
        with pytest.raises(NonceMalformed):
            claim_nonce(presented, scope="alice", made_at=NOW, now=NOW)

    def test_claim_nonce_refuses_two_headers_that_were_joined(self) -> None:
        with pytest.raises(NonceMalformed):
            claim_nonce(f"{NONCE},{NONCE}", scope="alice", made_at=NOW, now=NOW)

    def test_claim_nonce_teaches_when_a_transaction_would_undo_it(self) -> None:
        with pytest.raises(Misuse, match="non_atomic_requests"), transaction.atomic():
            claim_nonce(NONCE, scope="alice", made_at=NOW, now=NOW)


@pytest.fixture
def post(mtls_client: Any) -> Any:
    clients: dict[Any, Any] = {}

    def post(url: str, *, nonce: str | None = NONCE, made_at: str | None = None, name: str | None = "alice") -> Any:
        client = clients.setdefault(name, mtls_client(name, raise_request_exception=False))
        headers = {"X-Request-Timestamp": seconds(clock.now()) if made_at is None else made_at}
        if nonce is not None:
            headers["X-Request-Nonce"] = nonce
        return client.post(url, headers=headers)

    return post


@pytest.mark.urls("tests.support.views")
@pytest.mark.parametrize("url", ["/fresh", "/fresh/handler", "/fresh/dispatch"])
@pytest.mark.django_db(transaction=True)
class TestFresh:
    def test_fresh_serves_a_request_once(self, post: Any, url: str) -> None:
        assert post(url).status_code == 201
        second = post(url)
        assert (second.status_code, second.json()["code"]) == (409, "nonce-reused")
        assert effects() == 1

    def test_fresh_serves_another_request_of_the_same_caller(self, post: Any, url: str) -> None:
        assert post(url).status_code == 201
        assert post(url, nonce="another-" + NONCE).status_code == 201

    def test_fresh_serves_another_caller_with_the_same_nonce(self, post: Any, url: str) -> None:
        assert post(url, name="alice").status_code == 201
        assert post(url, name="bob").status_code == 201

    @pytest.mark.parametrize(
        ("missing", "status", "code"),
        [
            ({"made_at": ""}, 400, "timestamp-missing"),
            ({"made_at": "yesterday"}, 400, "timestamp-malformed"),
            ({"made_at": "1"}, 401, "timestamp-stale"),
            ({"nonce": None}, 400, "nonce-missing"),
            ({"nonce": "x"}, 400, "nonce-malformed"),
        ],
    )
    def test_fresh_says_what_is_wrong(
        self, post: Any, url: str, missing: dict[str, Any], status: int, code: str
    ) -> None:
        response = post(url, **missing)
        assert (response.status_code, response.json()["code"]) == (status, code)
        assert response["Content-Type"] == "application/problem+json"
        assert effects() == 0


@pytest.mark.urls("tests.support.views")
@pytest.mark.parametrize("atomic_requests", [False, True])
@pytest.mark.parametrize("url", ["/fresh", "/fresh/dispatch"])
@pytest.mark.parametrize("outcome", ["refused", "broken"])
@pytest.mark.django_db(transaction=True)
class TestFreshWhenTheViewFails:
    def test_fresh_when_the_view_fails_keeps_the_nonce_burnt(
        self, post: Any, settings: Any, url: str, outcome: str, atomic_requests: bool
    ) -> None:
        from django.db import connection

        before = connection.settings_dict["ATOMIC_REQUESTS"]
        connection.settings_dict["ATOMIC_REQUESTS"] = atomic_requests
        try:
            failed = post(f"{url}?outcome={outcome}")
            assert failed.status_code == {"refused": 422, "broken": 500}[outcome]
            # The promise of ATOMIC_REQUESTS still holds: the effect of a failed request rolls back.
            assert effects() == (0 if atomic_requests else 1)
            assert post(url).status_code == 409
        finally:
            connection.settings_dict["ATOMIC_REQUESTS"] = before


@pytest.mark.urls("tests.support.views")
@pytest.mark.django_db(transaction=True)
def test_fresh_on_a_handler_teaches_under_atomic_requests(mtls_client: Any) -> None:
    from django.db import connection

    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        headers = {"X-Request-Timestamp": seconds(clock.now()), "X-Request-Nonce": NONCE}
        with pytest.raises(Misuse, match="dispatch"):
            mtls_client("alice").post("/fresh/handler", headers=headers)
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False


def test_fresh_on_a_class_teaches_its_place() -> None:
    with pytest.raises(Misuse, match="FreshMixin"):
        fresh(DjangoView)


@pytest.mark.django_db
def test_the_window_is_a_setting() -> None:
    with override_settings(SECURECORE={"REPLAY_WINDOW": 5}):
        parse_timestamp(seconds(NOW - 5 * SECOND), now=NOW)
        with pytest.raises(TimestampStale):
            parse_timestamp(seconds(NOW - 6 * SECOND), now=NOW)
