"""An effect in flight, and the end of the session, Bearer token or DPoP token that authenticated its request."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.contrib.auth.models import User

from securecore import caller, clock, grants, tokens
from securecore.errors import PermissionDenied
from securecore.grants import authorize, gate, principal_of
from securecore.models import Client, Session, SignatureKey, TokenEpoch
from securecore.replay import signature_keys
from securecore.revocation import (
    deactivate_user,
    disable_client,
    end_selected_sessions,
    end_sessions,
    retire_key,
    revoke_certificate,
    revoke_client_tokens,
    revoke_family,
    revoke_signature_key,
    revoke_token,
    revoke_tokens_before,
    revoke_user_tokens,
)
from securecore.sessions import record_id
from securecore.tokens import AccessToken
from tests.races import carriers
from tests.races.credential_urls import Stop
from tests.races.revocations import MAKE, effects
from tests.races.test_authorization import Held, Thread, _gate, wait_until_blocked
from tests.replay.signing import P256
from tests.sessions.test_endpoints import log_in
from tests.support.views import make_effect
from tests.tokens.calls import given, prove

__all__ = ["_gate"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.races.credential_urls")]


@pytest.fixture(autouse=True)
def _stopped_request(_gate: None) -> Iterator[None]:
    yield
    Stop.go.set()  # also the request of a test that failed


@dataclass
class Caller:
    """Alice with one credential, and a way to pay with it."""

    user: User
    thumbprint: str
    pay: Callable[[], int]
    token: AccessToken | None = None

    @property
    def access_token(self) -> AccessToken:
        assert self.token is not None
        return self.token


@pytest.fixture
def alice(mtls_client: Any, enrolled: Any, settings: Any) -> Callable[[str], Caller]:
    """`alice("Bearer")` is Alice with a new credential of this kind and the permission to pay."""
    settings.SECURECORE = {**settings.SECURECORE, "ENCRYPTION_KEYS": [Fernet.generate_key().decode()]}

    def caller(kind: str) -> Caller:
        user = enrolled("alice")
        grants.grant(principal=principal_of(user), permission=MAKE, now=clock.now())
        browser = mtls_client("alice")
        thumbprint = user.certificates.get().thumbprint
        if kind.startswith("session"):
            log_in(browser)
            path = {"session": "/pay", "session, plainly": "/pay/plainly", "session, late": "/pay/late"}[kind]
            return Caller(user, thumbprint, lambda: browser.post(path).status_code)
        Client.objects.get_or_create(client_id="alice", defaults={"user": user, "created_at": clock.now()})
        tokens.keys.rotate(algorithm="ES256", lead=0, now=clock.now() - dt.timedelta(seconds=1))
        proof = prove("/oauth/token", "POST") if kind == "DPoP" else None
        text = given(browser, proof=proof)["access_token"]

        def pay() -> int:
            more = {"HTTP_DPOP": prove("/pay", "POST", token=text)} if kind == "DPoP" else {}
            return int(browser.post("/pay", HTTP_AUTHORIZATION=f"{kind} {text}", **more).status_code)

        return Caller(user, thumbprint, pay, tokens.verify(text, now=clock.now()))

    return caller


def _revoke_token(caller: Caller, **more: str) -> Any:
    token = caller.access_token
    return revoke_token(issuer=token.issuer, jti=token.jti, expires_at=token.expires_at, **more)


OF_TOKENS: dict[str, Callable[[Caller], Any]] = {
    "the token": _revoke_token,
    "the token of a user": lambda c: _revoke_token(c, subject=c.access_token.subject),
    "the token of a client": lambda c: _revoke_token(c, client_id=c.access_token.client_id),
    "its family": lambda c: revoke_family(c.access_token.family_id),  # type: ignore[arg-type]
    "its user's": lambda c: revoke_user_tokens(c.user),
    "its client's": lambda c: revoke_client_tokens(c.access_token.client_id),
    "everybody's": lambda c: revoke_tokens_before(clock.now() + carriers.span()),
    "its key": lambda c: retire_key(str(c.access_token.stored_key)),
    "its certificate": lambda c: revoke_certificate(thumbprint=c.thumbprint),
    "its client": lambda c: disable_client(c.access_token.client_id),
    "its user": lambda c: deactivate_user(c.user),
}
OF_SESSIONS: dict[str, Callable[[Caller], Any]] = {
    "of a user": lambda c: end_sessions(user=c.user, reason="test"),
    "of a certificate": lambda c: end_sessions(thumbprint=c.thumbprint, reason="test"),
    "of everybody": lambda c: end_sessions(everybody=True, reason="test"),
    "selected": lambda c: end_selected_sessions(Session.objects.all(), reason="test"),
    "its certificate": lambda c: revoke_certificate(thumbprint=c.thumbprint),
    "its user": lambda c: deactivate_user(c.user),
}
WAYS = [
    *((kind, way, take) for kind in ("Bearer", "DPoP") for way, take in OF_TOKENS.items()),
    *((kind, way, take) for kind in ("session", "session, plainly") for way, take in OF_SESSIONS.items()),
]


def restore(caller: Caller) -> None:
    User.objects.filter(pk=caller.user.pk).update(is_active=True)
    Client.objects.update(disabled_at=None)
    while TokenEpoch.objects.filter(not_before__gt=clock.now().replace(microsecond=0)).exists():
        time.sleep(0.05)  # the token holds whole seconds only
    caller.user.certificates.update(revoked_at=None)


class TestEveryRevocation:
    def test_every_revocation_waits_for_an_effect_whose_check_passed(self, alice: Any) -> None:
        for kind, way, take in WAYS:
            caller, name, before = alice(kind), f"{kind}: {way}", effects()
            Stop.next_at("inside")
            paying = Thread(caller.pay)
            assert Stop.reached.wait(30) or paying.result() is None, name
            revoking = Thread(lambda t=take, c=caller: t(c))  # type: ignore[misc]
            wait_until_blocked(1, name, revoking)
            assert revoking.is_alive(), name
            Stop.go.set()
            assert paying.result() == 201, name
            revoking.result()
            assert effects() == before + 1, name
            # Without the session, the user of a plain view is the certificate's user.
            assert kind == "session, plainly" or caller.pay() in (401, 403), name
            restore(caller)

    def test_every_revocation_that_returned_before_the_check_lets_no_effect_pass(self, alice: Any) -> None:
        late = [("session, late", way, take) for way, take in OF_SESSIONS.items()]
        for kind, way, take in [*WAYS, *late]:
            caller, name, before = alice(kind), f"{kind}: {way}", effects()
            Stop.next_at("before")
            paying = Thread(caller.pay)
            assert Stop.reached.wait(30) or paying.result() is None, name
            take(caller)
            Stop.go.set()
            assert paying.result() == 403, name
            assert effects() == before, name
            restore(caller)

    def test_every_revocation_of_another_s_credential_is_no_hindrance(self, alice: Any, mtls_client: Any) -> None:
        """The token beside the session did not authenticate the request, so its revocation changes nothing."""
        caller, beside = alice("session"), alice("Bearer")
        _revoke_token(beside)
        assert caller.pay() == 201


@pytest.mark.parametrize("revoked", ["the token of a user", "the token of a client", "its user's", "its client's"])
def test_a_token_of_a_user_s_own_client_is_waited_for(
    mtls_client: Any, enrolled: Any, settings: Any, revoked: str
) -> None:
    """Its caller holds nothing of ``service:NAME``, and enters the gate of that name."""
    settings.SECURECORE = {**settings.SECURECORE, "ENCRYPTION_KEYS": [Fernet.generate_key().decode()]}
    user, browser = enrolled("alice"), mtls_client("alice")
    grants.grant(principal=principal_of(user), permission=MAKE, now=clock.now())
    tokens.keys.rotate(algorithm="ES256", lead=0, now=clock.now() - dt.timedelta(seconds=1))
    text = given(browser)["access_token"]
    token = tokens.verify(text, now=clock.now())
    assert not token.is_registered

    def pay() -> int:
        return int(browser.post("/pay", HTTP_AUTHORIZATION=f"Bearer {text}").status_code)

    caller = Caller(user, token.certificate, pay, token)
    Stop.next_at("inside")
    paying = Thread(caller.pay)
    assert Stop.reached.wait(30)
    revoking = Thread(lambda: OF_TOKENS[revoked](caller))
    wait_until_blocked(1, revoked, revoking)
    Stop.go.set()
    assert paying.result() == 201
    revoking.result()
    assert caller.pay() == 401


class TestSignatureKey:
    def test_signature_key_that_is_revoked_stops_what_it_signed(self, alice: Any) -> None:
        user = alice("session").user
        pem = P256.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        for order in ("effect first", "revocation first"):
            signature_keys.register(keyid=order, user=user, public_key=pem, now=clock.now())
            signed = caller.Caller((principal_of(user),), signature_keyid=order).conditions
            before = effects()

            def work(signed: Any = signed) -> None:
                grants.decide(principal_of(user), MAKE, conditions=signed, clock=clock.now).require()
                make_effect()

            if order == "effect first":
                effect = Held(work)
                revoking = Thread(lambda key=order: revoke_signature_key(key))  # type: ignore[misc]
                wait_until_blocked(1, order, revoking)
                effect.let_go()
                assert revoking.result()
                assert effects() == before + 1
            else:
                assert revoke_signature_key(order)
            with (
                pytest.raises(PermissionDenied),
                authorize(principal_of(user), MAKE, conditions=signed, clock=clock.now),
            ):
                make_effect()
        assert not SignatureKey.objects.filter(revoked_at=None).exists()


@pytest.mark.one_clock
def test_a_key_that_is_retired_during_the_wait_has_ended(alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check reads its clock before the wait, and no clock skew is added."""
    monkeypatch.setattr(clock, "SKEW", 0)
    caller, before = alice("Bearer"), effects()

    Stop.next_at("before")
    paying = Thread(caller.pay)
    assert Stop.reached.wait(30)
    key = str(caller.access_token.stored_key)
    closed = Held(gate.close_all, last=lambda: tokens.keys.retire(kid=key, now=clock.now()))
    Stop.go.set()
    wait_until_blocked(1, "the check", paying)
    closed.let_go()
    assert paying.result() == 403
    assert effects() == before


def test_a_session_whose_id_has_just_been_changed_goes_on(alice: Any) -> None:
    caller = alice("session")
    session = Session.objects.get()
    Stop.next_at("before")
    paying = Thread(caller.pay)
    assert Stop.reached.wait(30)
    Session.objects.update(id=record_id("another"), predecessor=session.pk, rotated_at=clock.now())
    Stop.go.set()
    assert paying.result() == 201
