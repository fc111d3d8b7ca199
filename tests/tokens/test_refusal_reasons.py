"""Each refusal of the token service has a reason for operators, in event and counts, and none for callers."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from django.contrib.auth.models import User
from django.test import Client as DjangoClient

from securecore import audit, clock
from securecore.events import RequestRefused, TokenInactive
from securecore.grants import lockouts, principal_of
from securecore.revocation import disable_client, revoke_family, revoke_user_tokens
from securecore.testing import Authority, FakeClock, MutualTLSClient
from securecore.tokens import RefreshFamily, clients
from tests.events.recorder import of_kind, recorded
from tests.support.tree import ROOT
from tests.tokens.calls import get, given, post

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.tokens.urls")]

Clients = Callable[..., MutualTLSClient]
CREDENTIALS = "grant_type=client_credentials"
CERTIFICATE = "grant_type=urn:securecore:grant-type:certificate"


@pytest.fixture
def alice(mtls_client: Clients) -> MutualTLSClient:
    return mtls_client("alice")


@pytest.fixture
def payments(alice: MutualTLSClient, mtls_client: Clients) -> None:
    """The client payments acts as alice; shop is proven by its name."""
    mtls_client("bob")
    user = User.objects.get(username="alice")
    clients.register(client_id="payments", user=user, scope="a b", now=clock.now())
    clients.register(client_id="shop", user=user, certificate_name="DNS:shop.internal", now=clock.now())


def refused(client: DjangoClient, body: str, path: str = "/oauth/token", **more: Any) -> tuple[str, str, str, str]:
    """Return code, kind and reason of the refusal, and the response."""
    audit.refusal_counts.take()
    with recorded() as events:
        answer = post(client, body, path, **more)
    (event,) = of_kind(events, RequestRefused)
    (counted,) = audit.refusal_counts.take()
    assert answer.json()["error"] == event.code
    return event.code, counted.reason, event.reason, answer.content.decode()


def test_connection_without_a_certificate(mtls_client: Clients) -> None:
    code, kind, reason, response = refused(mtls_client(None), CERTIFICATE)
    assert (code, kind) == ("invalid_client", "no-certificate")
    assert "no client certificate" in reason
    assert "certificate" not in response


@pytest.mark.parametrize(
    ("client_id", "kind", "part"),
    [
        ("", "no-client-id", "enrolled for no active user and the request has no client_id"),
        ("x" * 129, "no-client-id", "more than 128 characters"),
        ("unknown", "client-unknown", "No client 'unknown' is registered. The certificate is enrolled for no active"),
        ("payments", "certificate-of-another", "acts as alice, and the certificate is enrolled for no active user"),
        ("shop", "certificate-of-another", "has the name DNS:shop.internal, not these"),
    ],
)
def test_certificate_that_is_enrolled_for_nobody(
    payments: None, ca: Authority, client_id: str, kind: str, part: str
) -> None:
    body = f"{CREDENTIALS}&client_id={client_id}" if client_id else CREDENTIALS
    code, counted, reason, response = refused(MutualTLSClient(ca.issue("stranger")), body)
    assert (code, counted) == ("invalid_client", kind)
    assert part in reason
    assert response == '{"error":"invalid_client"}'


@pytest.mark.parametrize(
    ("client_id", "kind", "part"),
    [
        ("alice", "client-unknown", "the certificate is enrolled for the user bob"),
        ("payments", "certificate-of-another", "acts as alice, and the certificate is enrolled for bob"),
    ],
)
def test_certificate_of_another_user(
    payments: None, mtls_client: Clients, client_id: str, kind: str, part: str
) -> None:
    code, counted, reason, response = refused(mtls_client("bob"), f"{CREDENTIALS}&client_id={client_id}")
    assert (code, counted) == ("invalid_client", kind)
    assert part in reason
    assert response == '{"error":"invalid_client"}'


def test_client_that_was_disabled_or_acts_as_nobody(payments: None, alice: MutualTLSClient, ca: Authority) -> None:
    shop = MutualTLSClient(ca.issue("shop", dns_names=["shop.internal"]))
    User.objects.filter(username="alice").update(is_active=False)
    code, kind, reason, _ = refused(shop, f"{CREDENTIALS}&client_id=shop")
    assert (code, kind) == ("invalid_client", "client-user-inactive")
    assert "alice, who is not active" in reason
    disable_client("shop")
    code, kind, reason, _ = refused(shop, f"{CREDENTIALS}&client_id=shop")
    assert (code, kind) == ("invalid_client", "client-disabled")
    assert "was disabled at 20" in reason


@pytest.mark.parametrize("path", ["/oauth/revoke", "/oauth/introspect"])
def test_other_endpoints_too(payments: None, mtls_client: Clients, path: str) -> None:
    code, kind, reason, _ = refused(mtls_client("bob"), "client_id=payments&token=x", path)
    assert (code, kind) == ("invalid_client", "certificate-of-another")
    assert "enrolled for bob" in reason


def test_certificate_without_a_user(payments: None, ca: Authority) -> None:
    shop = MutualTLSClient(ca.issue("shop", dns_names=["shop.internal"]))
    code, kind, reason, response = refused(shop, f"{CERTIFICATE}&client_id=shop")
    assert (code, kind) == ("invalid_grant", "no-user")
    assert "enrolled for no active user" in reason
    assert response == '{"error":"invalid_grant"}'


def test_scope_that_the_client_may_not_have(payments: None, alice: MutualTLSClient) -> None:
    code, kind, reason, response = refused(alice, f"{CREDENTIALS}&client_id=payments&scope=b+c+d")
    assert (code, kind) == ("invalid_scope", "scope-not-allowed")
    assert reason == "The client 'payments' requested 'c d', which it may not have."
    held = given(alice, client_id="payments", scope="a")["refresh_token"]
    body = f"grant_type=refresh_token&client_id=payments&refresh_token={held}&scope=b"
    code, kind, reason, response = refused(alice, body)
    assert (code, kind) == ("invalid_scope", "scope-not-allowed")
    assert response == '{"error":"invalid_scope"}'


def test_refresh_token_that_is_not_redeemed(alice: MutualTLSClient, mtls_client: Clients) -> None:
    held = given(alice)["refresh_token"]
    family = RefreshFamily.objects.get()
    body = f"grant_type=refresh_token&refresh_token={held}"
    assert refused(alice, f"{body}x")[:2] == ("invalid_grant", "unknown")
    code, kind, reason, response = refused(mtls_client("bob"), body)
    assert (code, response) == ("invalid_grant", '{"error":"invalid_grant"}')
    assert kind
    assert str(family.pk) in reason
    revoke_family(family.pk)
    assert refused(alice, body)[:2] == ("invalid_grant", "revoked")
    RefreshFamily.objects.update(expires_at=clock.now() - dt.timedelta(days=1))
    assert refused(alice, body)[:2] == ("invalid_grant", "expired")


def test_client_that_is_locked_out(payments: None, alice: MutualTLSClient) -> None:
    """The certificate's user is not locked out, the client is: found behind the gate."""
    lockouts.lock_out(subject="service:payments", lasts=dt.timedelta(hours=1), reason="ticket 4711")
    audit.refusal_counts.take()
    with recorded() as events:
        answer = post(alice, f"{CREDENTIALS}&client_id=payments")
    assert answer.json()["code"] == "locked-out"
    assert "4711" not in answer.content.decode()
    (event,) = of_kind(events, RequestRefused)
    assert "service:payments" in event.reason
    (counted,) = audit.refusal_counts.take()
    assert counted.reason == "caller-locked-out"


def reason_of(client: MutualTLSClient, token: str, **how: Any) -> tuple[str, str]:
    """Return the kind and the reason of the refusal of an access token."""
    audit.refusal_counts.take()
    with recorded() as events:
        answer = get(client, token, **how)
    assert answer.json()["code"] == "invalid-token"
    assert set(answer.json()) == {"type", "title", "status", "code", "request_id"}
    (event,) = of_kind(events, RequestRefused)
    (counted,) = audit.refusal_counts.take()
    return counted.reason, event.reason


def test_access_token_that_is_refused(alice: MutualTLSClient, mtls_client: Clients) -> None:
    """Bound elsewhere, changed, expired or revoked: four faults with one code, and four different nights."""
    user, token = User.objects.get(username="alice"), given(alice)["access_token"]
    kind, reason = reason_of(mtls_client("bob"), token)
    assert kind == "token-bound-elsewhere"
    assert f"user:{user.pk}, client 'alice', authorization" in reason
    assert reason_of(mtls_client(None), token)[0] == "token-bound-elsewhere"
    assert reason_of(alice, token[:-8] + "AAAAAAAA")[0] == "invalid-signature"
    revoke_user_tokens(user)
    kind, reason = reason_of(alice, token)
    assert kind == "token-ended"
    assert "is revoked" in reason


def test_access_token_that_has_expired(alice: MutualTLSClient, fake_clock: FakeClock) -> None:
    token = given(alice)["access_token"]
    fake_clock.advance(hours=1)
    kind, reason = reason_of(alice, token)
    assert kind == "expired-signature"
    assert re.search(r"expired 33\d\d s ago", reason), reason
    fake_clock.advance(hours=-3)
    assert reason_of(alice, token)[0] == "immature-signature"


def test_access_token_of_a_key_that_is_gone(alice: MutualTLSClient, settings: Any) -> None:
    token = given(alice)["access_token"]
    [key] = settings.SECURECORE["TOKEN_SIGNING_KEYS"]
    settings.SECURECORE = settings.SECURECORE | {"TOKEN_SIGNING_KEYS": [{**key, "kid": "another"}]}
    assert reason_of(alice, token)[0] == "invalid-key"


def inactive(client: MutualTLSClient, token: str, client_id: str = "") -> str:
    """Introspect an inactive token; return the reason for operators."""
    named = f"&client_id={client_id}" if client_id else ""
    with recorded() as events:
        answer = post(client, f"token={token}{named}", "/oauth/introspect")
    assert answer.json() == {"active": False}
    (event,) = of_kind(events, TokenInactive)
    return str(event.reason)


def test_token_that_is_introspected_as_inactive(alice: MutualTLSClient, mtls_client: Clients) -> None:
    """The caller of another service gets a 401 there, and that service was told "active": false alone."""
    bob, both, user = mtls_client("bob"), given(alice), User.objects.get(username="alice")
    assert "of the client 'alice', not of the asking one" in inactive(bob, both["access_token"])
    assert "of another client" in inactive(bob, both["refresh_token"])
    assert inactive(bob, "x") == "Decode error: Not enough segments"
    lockouts.lock_out(subject=principal_of(user), lasts=dt.timedelta(hours=1), reason="a test")
    bobs = User.objects.get(username="bob")
    clients.register(client_id="checker", user=bobs, may_introspect=True, now=clock.now())
    assert "is locked out" in inactive(bob, both["refresh_token"], "checker")
    assert "is locked out" in inactive(bob, both["access_token"], "checker")
    lockouts.lift(subject=principal_of(user))
    revoke_user_tokens(user)
    assert "revoked, or its user is not active" in inactive(alice, both["access_token"])
    assert "revoked, or has expired" in inactive(alice, both["refresh_token"])


def test_no_refusal_of_the_token_service_is_without_a_reason() -> None:
    """An error with neither a reason for operators, a description nor a cause would be an empty line in the log."""
    source = "".join(path.read_text() for path in (ROOT / "securecore" / "http" / "oauth").glob("*.py"))
    raised = re.findall(r"OAuthError\((?:[^()]|\([^()]*\))*\)", source)
    bare = [each for each in raised if "reason" not in each and "description" not in each]
    converted = {'OAuthError("invalid_dpop_proof")', 'OAuthError("use_dpop_nonce", headers=error.headers)'}
    assert len(raised) > 10
    assert set(bare) - converted - {"OAuthError(Exception)"} == set()


def test_the_event_names_the_token_and_its_client(alice: MutualTLSClient, mtls_client: Clients) -> None:
    """A token that was judged good, and is refused for its binding or its revocation. A broken token names nothing."""
    token = given(alice)["access_token"]
    jti = jwt.decode(token, options={"verify_signature": False})["jti"]
    with recorded() as events:
        get(mtls_client("bob"), token)
        get(alice, token[:-8] + "AAAAAAAA")
        revoke_user_tokens(User.objects.get(username="alice"))
        get(alice, token)
    named = [(event.jti, event.client_id) for event in of_kind(events, RequestRefused)]
    assert named == [(jti, "alice"), (None, None), (jti, "alice")]
