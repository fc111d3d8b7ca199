"""Many threads and one token: one thread wins, no second successor exists, and no token outlives its revocation."""

from __future__ import annotations

import datetime as dt
import os
import uuid
from multiprocessing import Event
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import User

from securecore import caller, clock, tokens
from securecore.errors import InvalidToken
from securecore.identity import enroll, match_of, parse_pem
from securecore.models import RefreshToken, SigningKey
from securecore.revocation import revoke_certificate, revoke_family, revoke_user_tokens
from securecore.testing import Authority, MutualTLSClient
from securecore.tokens import one_time, refresh
from securecore.tokens.refresh import NotRedeemed, Redeemed
from tests.tokens.calls import CERTIFICATE_GRANT, ask, given, prove

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 16
#: `make soak` has 200. One round sees each sabotage of tools/sabotage that names a test of this file.
ROUNDS = int(os.environ.get("SECURECORE_RACE_ROUNDS", "6"))
LONG_ROUNDS = min(ROUNDS, max(5, ROUNDS // 4))
BINDING = "x5t#S256:alice"


@pytest.fixture(autouse=True)
def _patience(settings: Any) -> None:
    """Sixteen threads wait for one row: on a busy machine the last waits longer than the default of 2 seconds."""
    settings.SECURECORE = {**settings.SECURECORE, "LOCK_TIMEOUT": 30.0}


@pytest.fixture
def alice() -> User:
    return User.objects.create(username="alice")


def start(user: User, now: dt.datetime, *, rotates: bool = True) -> tuple[Any, str]:
    family, token = refresh.start(
        user_id=user.pk, client_id="alice", binding=BINDING, certificate="alice", scope="", rotates=rotates, now=now
    )
    return family.pk, token


def redeem(token: str, *, binding: str = BINDING) -> Redeemed | NotRedeemed:
    return refresh.redeem(
        presented_token=token, client_id="alice", binding=binding, certificate="alice", now=clock.now()
    )


def live(family_id: Any) -> int:
    """Return the number of successors of a family that could be redeemed now."""
    rows = RefreshToken.objects.filter(family=family_id, used_at=None, expires_at__gt=clock.now())
    return rows.filter(family__revoked_at=None).count()


class TestRefreshToken:
    def test_refresh_token_of_sixteen_threads_never_has_two_live_successors(
        self, run_together: Any, alice: User, now: dt.datetime
    ) -> None:
        for _ in range(ROUNDS):
            family, token = start(alice, now)
            outcomes = run_together(THREADS, lambda _, token=token: redeem(token))
            successors = [outcome.token for outcome in outcomes if isinstance(outcome, Redeemed)]
            assert len(successors) == len(set(successors)) >= 1
            assert live(family) == 1
            assert sum(refresh.is_live(str(each), clock.now()) for each in successors) == 1
            assert RefreshToken.objects.filter(family=family, parent__isnull=False).count() == 1
            # The token itself, its successor, and the successors that later threads voided.
            assert RefreshToken.objects.filter(family=family).count() == 1 + len(successors)

    def test_refresh_token_of_sixteen_threads_outside_the_retry_window_has_none(
        self, run_together: Any, alice: User, now: dt.datetime
    ) -> None:
        """One of the threads is a thief, so the family ends in every order."""
        for _ in range(ROUNDS):
            family, token = start(alice, now)
            first = redeem(token)
            RefreshToken.objects.exclude(used_at=None).update(used_at=now - dt.timedelta(minutes=1))
            outcomes = run_together(THREADS, lambda _, token=token: redeem(token))
            assert isinstance(first, Redeemed)
            assert not [outcome for outcome in outcomes if isinstance(outcome, Redeemed)]
            assert sum(outcome.reused for outcome in outcomes) == 1
            assert live(family) == 0

    def test_refresh_token_of_a_thief_and_its_owner_ends_the_family(
        self, run_together: Any, alice: User, now: dt.datetime
    ) -> None:
        """Half of the threads lack the binding. One second use by any of them ends the family."""
        for _ in range(ROUNDS):
            family, token = start(alice, now)
            assert isinstance(redeem(token), Redeemed)

            def present(index: int, token: str = token) -> Redeemed | NotRedeemed:
                return redeem(token, binding=BINDING if index % 2 else "x5t#S256:thief")

            run_together(THREADS, present)
            assert live(family) == 0

    def test_refresh_token_that_was_voided_ends_the_family_whoever_is_first(
        self, run_together: Any, alice: User, now: dt.datetime
    ) -> None:
        """Sixteen threads each present another successor, of which one is not voided. No successor
        is live in the end.
        """
        for _ in range(ROUNDS):
            family, token = start(alice, now)
            outcomes = [redeem(token) for _ in range(THREADS)]
            held = [outcome.token for outcome in outcomes if isinstance(outcome, Redeemed)]
            assert len(held) == THREADS
            run_together(THREADS, lambda index, held=held: redeem(str(held[index])))
            assert live(family) == 0

    def test_refresh_token_of_a_chain_of_refreshes_and_retries_never_has_two_live_heads(
        self, run_together: Any, alice: User, now: dt.datetime
    ) -> None:
        for _ in range(LONG_ROUNDS):
            family, token = start(alice, now)

            def go_on(index: int, token: str = token) -> None:
                for _ in range(4):
                    outcome = redeem(token)
                    if not isinstance(outcome, Redeemed):
                        return
                    assert outcome.token is not None
                    token = outcome.token

            run_together(THREADS, go_on)
            assert live(family) <= 1

    def test_refresh_token_through_the_endpoint_has_one_live_successor(
        self, run_together: Any, mtls_client: Any
    ) -> None:
        for _ in range(LONG_ROUNDS):
            clients = [mtls_client("alice") for _ in range(THREADS)]
            token = given(clients[0])["refresh_token"]
            family = refresh.family_of(token)
            assert family is not None

            def present(index: int, clients: Any = clients, token: str = token) -> Any:
                return ask(clients[index], "refresh_token", refresh_token=token)

            answers = run_together(THREADS, present)
            assert {answer.status_code for answer in answers} <= {200, 400}
            successors = [answer.json()["refresh_token"] for answer in answers if answer.status_code == 200]
            assert sum(refresh.is_live(each, clock.now()) for each in successors) == live(family.pk) == 1


class TestRevocation:
    @pytest.mark.parametrize("way", ["family", "user"])
    @pytest.mark.parametrize("rotates", [True, False], ids=["rotating", "static"])
    def test_revocation_leaves_nothing_alive_of_a_family_that_sixteen_threads_refresh(
        self, run_together: Any, alice: User, rotates: bool, way: str
    ) -> None:
        for _ in range(LONG_ROUNDS):
            family, token = start(alice, clock.now(), rotates=rotates)
            began, ended = Event(), Event()

            def work(
                index: int, family: Any = family, token: str = token, began: Any = began, ended: Any = ended
            ) -> Any:
                if index:
                    return refresh_until_refused(alice, token, began, ended)
                assert began.wait(10)
                revoke_family(family) if way == "family" else revoke_user_tokens(alice)
                ended.set()
                assert live(family) == 0
                return []

            issued = [each for thread in run_together(THREADS + 1, work) for each in thread]
            assert issued
            assert live(family) == 0
            assert not [each for each in issued if is_accepted(each)]

    def test_revocation_by_two_at_once_is_news_once(self, run_together: Any, alice: User, now: dt.datetime) -> None:
        for _ in range(ROUNDS):
            family, _ = start(alice, now)
            assert sum(run_together(4, lambda _, family=family: revoke_family(family))) == 1

    def test_revocation_of_a_user_by_sixteen_threads_counts_sixteen(self, run_together: Any, alice: User) -> None:
        run_together(THREADS, lambda _: revoke_user_tokens(alice))
        assert tokens.epochs.current(tokens.epochs.user_subject(str(alice.pk))) == [THREADS]


class TestCertificate:
    @pytest.mark.parametrize("way", ["thumbprint", "public-key", "subject"])
    def test_certificate_revoked_while_tokens_are_obtained_under_it_leaves_none_of_them(
        self, run_together: Any, mtls_client: Any, ca: Authority, enrolled: Any, settings: Any, way: str
    ) -> None:
        """Eight clients request tokens under the old certificate, with a proof key that the new certificate opens too.

        The old certificate is revoked by itself, or by a match that only it has.
        """
        settings.SECURECORE = {**settings.SECURECORE, "CERTIFICATE_MATCHES": ["public-key", "subject"]}
        user, now = enrolled("alice"), clock.now()
        for _ in range(LONG_ROUNDS):
            old, new = ca.issue(f"alice {uuid.uuid4().hex}"), ca.issue("alice")
            for issued in (old, new):
                enroll(certificate=parse_pem(issued.pem), user=user, now=now)
            clients = [MutualTLSClient(old) for _ in range(8)]
            began, ended = Event(), Event()

            def work(index: int, old: Any = old, clients: Any = clients, began: Any = began, ended: Any = ended) -> Any:
                if index < len(clients):
                    return obtain_until_refused(clients[index], began, ended)
                assert began.wait(10)
                certificate = parse_pem(old.pem)
                by = certificate.thumbprint if way == "thumbprint" else match_of(certificate, way).identifier
                revoke_certificate(thumbprint=by)
                ended.set()
                return []

            obtained = [each for thread in run_together(len(clients) + 1, work) for each in thread]
            assert obtained
            assert not [each for each in obtained if is_accepted(each["access_token"])]
            owner = MutualTLSClient(new)
            for each in obtained:
                proof = prove("/oauth/token", "POST")
                again = ask(owner, "refresh_token", refresh_token=each["refresh_token"], proof=proof)
                assert again.status_code == 400


def obtain_until_refused(client: MutualTLSClient, began: Any, ended: Any) -> list[Any]:
    """Request tokens, and return those that were issued. A request that begins after the revocation must be refused."""
    obtained: list[Any] = []
    while True:
        was_over = ended.is_set()
        answer = ask(client, CERTIFICATE_GRANT, proof=prove("/oauth/token", "POST"))
        assert not (was_over and answer.status_code == 200)
        if answer.status_code != 200:
            return obtained
        obtained.append(answer.json())
        began.set()


def refresh_until_refused(alice: User, token: str, began: Any, ended: Any) -> list[str]:
    """Refresh as the owner, and return the access tokens that were issued on the way.

    A refresh that begins after the revocation has ended must be refused.
    """
    issued: list[str] = []
    while True:
        was_over = ended.is_set()
        outcome = redeem(token)
        assert not (was_over and isinstance(outcome, Redeemed))
        if not isinstance(outcome, Redeemed):
            return issued
        token = outcome.token or token
        family = outcome.family.pk
        now = clock.now()
        issued.append(
            tokens.issue(subject=str(alice.pk), client_id="alice", binding=BINDING, family_id=family, now=now)[0]
        )
        began.set()


def is_accepted(encoded: str) -> bool:
    now = clock.now()
    try:
        caller.user_of_token(tokens.verify(encoded, now=now), now=now)
    except InvalidToken:
        return False
    return True


class TestOneTimeToken:
    def test_one_time_token_of_sixteen_threads_has_one_winner(self, run_together: Any, now: dt.datetime) -> None:
        for _ in range(ROUNDS):
            token = one_time.issue(purpose="reset", subject="alice", lifetime=60, now=now)
            won = run_together(THREADS, lambda _, token=token: one_time.consume(token, purpose="reset", now=now))
            assert sorted(won, key=str) == [None] * (THREADS - 1) + ["alice"]


class TestSigningKey:
    @pytest.mark.one_clock
    def test_signing_key_rotated_by_many_at_once_leaves_one_that_signs(self, run_together: Any, settings: Any) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "ENCRYPTION_KEYS": [Fernet.generate_key().decode()]}
        kids = run_together(4, lambda _: tokens.keys.rotate(algorithm="ES256", lead=0, now=clock.now()))
        assert SigningKey.objects.count() == len(set(kids)) == 4
        signing = run_together(4, lambda _: tokens.keys.signing_key(clock.now()).kid)
        assert len(set(signing)) == 1
