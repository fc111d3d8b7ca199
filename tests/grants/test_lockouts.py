"""Lockouts: refused while they last, as before when they are over; and no other caller is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from securecore import clock
from securecore.errors import LockedOut, Misuse, TextRefused
from securecore.grants import authorize, grant, lockouts, principal_of, principals
from securecore.models import Client, Lockout
from securecore.testing import FakeClock, MutualTLSClient
from securecore.tokens import clients
from tests.events.recorder import recorded
from tests.tokens.calls import ask, given, post, refresh

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.tokens.urls")]

HOUR = dt.timedelta(hours=1)
MAKE = "things.make"


def shut(subject: str, lasts: dt.timedelta = HOUR) -> None:
    lockouts.lock_out(subject=subject, lasts=lasts, reason="a test")


@pytest.fixture
def alice(mtls_client: Any) -> MutualTLSClient:
    client: MutualTLSClient = mtls_client("alice")
    return client


@pytest.fixture
def user(alice: MutualTLSClient) -> User:
    return User.objects.get(username="alice")


@pytest.fixture
def payments(user: User) -> Client:
    return clients.register(client_id="payments", user=user, now=clock.now())


def subjects(user: User) -> list[str]:
    """Every subject that shuts Alice out."""
    thumbprint = user.certificates.get().thumbprint
    return [principal_of(user), principals.certificate(thumbprint), "issuer:CN=Test CA", "everyone"]


def code_of(response: Any) -> str:
    return str(response.json().get("code", "")) if response.status_code >= 400 else ""


class TestRequest:
    def test_every_credential_is_refused_and_works_again(self, alice: MutualTLSClient, user: User) -> None:
        alice.post("/auth/login")
        token = given(alice)
        bearer: Any = {"HTTP_AUTHORIZATION": f"Bearer {token['access_token']}"}
        uses: dict[str, Callable[[], Any]] = {
            "certificate": lambda: alice.get("/auth/sessions"),
            "token": lambda: alice.get("/both", **bearer),
            "refresh": lambda: refresh(alice, token["refresh_token"]),
        }
        for subject in subjects(user):
            shut(subject)
            for name, use in uses.items():
                response = use()
                assert (response.status_code, code_of(response)) == (403, "locked-out"), (subject, name)
                assert "Retry-After" not in response
            assert lockouts.lift(subject=subject)
            assert not lockouts.lift(subject=subject)
            for name in ("certificate", "token"):
                assert uses[name]().status_code == 200, (subject, name)
        answer = uses["refresh"]()
        assert answer.status_code == 200, "no lockout ends a family"

    def test_a_session_without_its_user_s_certificate(self, alice: MutualTLSClient, user: User, settings: Any) -> None:
        """The session's user is locked out, and no certificate names that user."""
        alice.post("/auth/login")
        user.certificates.update(user=None)
        assert alice.get("/auth/sessions").status_code == 200
        shut(principal_of(user))
        assert code_of(alice.get("/auth/sessions")) == "locked-out"

    def test_a_client_is_refused_its_tokens_and_new_ones(
        self, alice: MutualTLSClient, user: User, payments: Client
    ) -> None:
        token = given(alice, client_id="payments")["access_token"]
        shut(principals.service("payments"))
        assert code_of(alice.get("/both", HTTP_AUTHORIZATION=f"Bearer {token}")) == "locked-out"
        assert code_of(ask(alice, client_id="payments")) == "locked-out"
        assert alice.get("/both").status_code == 200, "the user is not locked out"
        lockouts.lift(subject=principals.service("payments"))
        assert alice.get("/both", HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 200

    def test_nobody_else_is_refused(self, alice: MutualTLSClient, user: User, mtls_client: Any) -> None:
        bob = mtls_client("bob")
        for subject in (*subjects(user)[:2], "issuer:CN=Another CA", "service:alice", "user:999"):
            shut(subject)
        assert bob.get("/both").status_code == 200
        assert mtls_client(None).get("/both").status_code == 401

    def test_it_ends_by_itself(self, alice: MutualTLSClient, user: User, fake_clock: FakeClock) -> None:
        shut(principal_of(user))
        fake_clock.advance(minutes=59)
        assert alice.get("/both").status_code == 403
        fake_clock.advance(minutes=1, seconds=1)
        assert alice.get("/both").status_code == 200
        assert lockouts.in_force(clock.now()) == []

    def test_introspection_answers_inactive(
        self, alice: MutualTLSClient, user: User, mtls_client: Any, payments: Client
    ) -> None:
        """The service that asks is not locked out, so it gets an answer."""
        bob = mtls_client("bob")
        clients.register(
            client_id="gateway", user=User.objects.get(username="bob"), may_introspect=True, now=clock.now()
        )
        token = given(alice)
        shut(principal_of(user))
        for name in ("access_token", "refresh_token"):
            answer = post(bob, f"client_id=gateway&token={token[name]}", "/oauth/introspect")
            assert answer.json() == {"active": False}, name

    def test_the_event_names_the_subject_and_the_response_does_not(self, alice: MutualTLSClient, user: User) -> None:
        shut(principal_of(user))
        with recorded() as events:
            response = alice.get("/both")
        assert principal_of(user) in vars(events[-1])["reason"]
        assert "user" not in response.content.decode()
        assert "a test" not in response.content.decode()


class TestCheck:
    @pytest.mark.parametrize("place", range(4))
    def test_a_check_without_a_request_is_refused(self, user: User, place: int) -> None:
        names = (principal_of(user), principals.certificate(user.certificates.get().thumbprint))
        grant(principal=names[0], permission=MAKE, now=clock.now())
        grant(principal=names[1], permission=MAKE, now=clock.now())
        subject = subjects(user)[place]
        shut(subject)
        for caller in (names, names[1:]):
            with pytest.raises(LockedOut), authorize(caller, MAKE, clock=clock.now):
                pass
        lockouts.lift(subject=subject)
        with authorize(names, MAKE, clock=clock.now):
            pass


class TestLockOut:
    @pytest.mark.parametrize(
        "subject",
        [
            "",
            "alice",
            "user:alice",
            "group:1",
            "role:clerk",
            "issuer:",
            "issuer:O = Bank",
            "certificate:x",
            "everybody",
        ],
    )
    def test_another_subject_is_a_mistake(self, db: None, subject: str) -> None:
        with pytest.raises(Misuse):
            shut(subject)
        assert not Lockout.objects.exists()

    @pytest.mark.parametrize("lasts", [dt.timedelta(), -HOUR, dt.timedelta(days=31), 3600, None])
    def test_it_ends_within_thirty_days(self, db: None, lasts: Any) -> None:
        with pytest.raises(Misuse, match="at most 30 days"):
            shut("everyone", lasts)

    def test_it_needs_a_reason(self, db: None) -> None:
        for reason, error in (("", Misuse), (None, Misuse), ("x" * 256, TextRefused), ("a\0b", TextRefused)):
            with pytest.raises(error):
                lockouts.lock_out(subject="everyone", lasts=HOUR, reason=reason)  # type: ignore[arg-type]

    def test_a_second_one_replaces_the_first(self, db: None) -> None:
        with recorded() as events:
            shut("everyone", HOUR)
            row = lockouts.lock_out(subject="everyone", lasts=2 * HOUR, reason="longer")
        assert [each.reason for each in lockouts.in_force(clock.now())] == ["longer"]
        assert vars(events[1])["until"] == row.expires_at.isoformat()
