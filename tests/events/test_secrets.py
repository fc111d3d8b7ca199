"""One long story with every feature: no event and no log line holds a secret, a token or a session id."""

from __future__ import annotations

import base64
import datetime as dt
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import User

from securecore import audit, clock
from securecore.conf import settings
from securecore.digests import new_secret, record_id
from securecore.events import every_event
from securecore.idempotency import claim_lease
from securecore.identity import parse_pem
from securecore.models import AuditRow
from securecore.revocation import end_sessions, retire_key, revoke_certificate, revoke_user_tokens
from securecore.testing import Authority, Issued, MutualTLSClient
from securecore.tokens import SigningKey, keys
from tests.events.recorder import recorded
from tests.http.test_database_away import GONE, away
from tests.tokens.calls import get, given, post, prove, refresh, said
from tests.tokens.forge import claims, header, sign

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.urls")]

COOKIE = "__Host-sessionid"
FORM = "application/x-www-form-urlencoded"
Clients = Callable[..., MutualTLSClient]


@pytest.fixture
def encryption_key(settings: Any) -> str:
    key = Fernet.generate_key().decode()
    settings.SECURECORE = {**settings.SECURECORE, "ENCRYPTION_KEYS": [key]}
    return key


def log_in(client: MutualTLSClient, secrets: set[str]) -> None:
    secrets.add(client.post("/auth/login").cookies[COOKIE].value)


def sessions(mtls_client: Clients, secrets: set[str]) -> None:
    """Log in, lose the cookie to a thief, end the session, log out."""
    alice, thief = mtls_client("alice"), mtls_client("mallory")
    for _ in range(2):
        log_in(alice, secrets)
    thief.cookies[COOKIE] = alice.cookies[COOKIE].value
    for path in ("/session", "/auth/login", "/flush", "/auth/logout"):
        thief.post(path, {"value": "x"})
    end_sessions(everybody=True, reason="test")
    log_in(alice, secrets)
    with away(GONE[0], after=1):
        alice.get("/session")
    alice.get("/ended-meanwhile")
    log_in(alice, secrets)
    listed = alice.get("/auth/sessions").json()["results"]
    alice.delete(f"/auth/sessions/{listed[0]['id']}")
    alice.get(f"/session?{COOKIE}={alice.cookies[COOKIE].value}")
    alice.get(f"/session;jsessionid={alice.cookies[COOKIE].value}")
    log_in(mtls_client("alice"), secrets)
    alice.delete("/auth/sessions")
    alice.post("/auth/logout")


def bearer(mtls_client: Clients, secrets: set[str], now: dt.datetime) -> None:
    """Use a token correctly and incorrectly, in the URL, under another certificate, and revoke it."""
    alice, bob = mtls_client("alice"), mtls_client("bob")
    grant = "grant_type=client_credentials&client_id=alice"
    token = alice.post("/oauth/token", grant, content_type=FORM).json()["access_token"]
    head, payload, signature = token.split(".")
    changes: list[dict[str, Any]] = [{"exp": 1}, {"aud": "x"}, {"jti": []}, {"cnf": token}]
    odd = [sign(header(), claims(now, **changed)) for changed in changes]
    odd += [f"{head}.{payload}.AAAA", f"{head}.{payload}", token + "\xff", token + "=", f"{head}.\xff.{signature}"]
    of_bob = sign(header(), claims(now, sub=str(User.objects.get(username="bob").pk), cnf=said(token)["cnf"]))
    alice.get("/session", HTTP_AUTHORIZATION=f"Bearer {of_bob}")
    secrets.update({token, signature, of_bob, *odd})
    for presented in (token, *odd):
        for client in (alice, bob):
            client.get("/token-only", HTTP_AUTHORIZATION=f"Bearer {presented}")
        alice.get(f"/seen?access_token={quote(presented)}")
        alice.get(f"/seen?q={presented}")
        bob.post("/oauth/revoke", f"token={quote(presented)}", content_type=FORM)
    with away(GONE[0], after=1):
        alice.post("/oauth/revoke", f"token={token}", content_type=FORM)
    alice.post("/oauth/revoke", f"token={token}", content_type=FORM)
    alice.get("/token-only", HTTP_AUTHORIZATION=f"Bearer {token}")


def refreshing(mtls_client: Clients, secrets: set[str], encryption_key: str) -> None:
    """Refresh, reuse a token, be refused, revoke everything, replace the signing key; with proofs and without."""
    alice, bob = mtls_client("alice"), mtls_client("bob")
    keys.rotate(algorithm="ES256", lead=0, now=clock.now())
    secrets.update({encryption_key, SigningKey.objects.get().encrypted_private_key})
    proofs = [prove("/oauth/token", "POST") for _ in range(2)]
    secrets.update(proof.rpartition(".")[2] for proof in proofs)
    held = [given(alice), given(alice, proof=proofs[0])]
    refreshed = given(alice, "refresh_token", refresh_token=held[0]["refresh_token"])
    refresh(alice, held[1]["refresh_token"], proof=proofs[0])
    for token in (refreshed["refresh_token"], held[0]["refresh_token"]):
        refresh(alice, token + "x")
        post(alice, f"token={token}", "/oauth/introspect")
    refresh(bob, refreshed["refresh_token"])
    again = given(alice, "refresh_token", refresh_token=refreshed["refresh_token"])
    refresh(alice, held[0]["refresh_token"])
    post(alice, f"token={held[1]['refresh_token']}", "/oauth/revoke")
    for each in (*held, refreshed, again):
        secrets.update({each["access_token"].rpartition(".")[2], each["refresh_token"]})
        get(alice, each["access_token"], "/token-only", proof=proofs[1])
    revoke_user_tokens(User.objects.get(username="alice"))
    retire_key(SigningKey.objects.get().pk)


def identity(ca: Authority, alice: Issued, proxy_secret: str) -> None:
    """Send requests from every kind of peer, with every header, honest and forged."""
    tcp = {"REMOTE_ADDR": "10.1.2.3", "HTTP_X_PROXY_AUTH": proxy_secret}
    for peer in (tcp, tcp | {"REMOTE_ADDR": "203.0.113.9"}, tcp | {"HTTP_X_PROXY_AUTH": proxy_secret + "x"}):
        for verify in ("SUCCESS", "NONE", "FAILED:expired", proxy_secret):
            client = MutualTLSClient(alice, **peer, HTTP_X_SSL_CLIENT_VERIFY=verify, HTTP_CLIENT_CERT=proxy_secret)
            client.get("/seen")
            client.post("/auth/login", HTTP_ORIGIN=f"https://{proxy_secret[:1]}.example", HTTP_EARLY_DATA="1")
    MutualTLSClient(alice, HTTP_X_SSL_CLIENT_CERT=proxy_secret).get("/seen")
    for issued in (ca.issue("unknown"), alice):
        revoke_certificate(thumbprint=parse_pem(issued.pem).thumbprint)
        MutualTLSClient(issued).get("/protected")


def leases(secrets: set[str], now: dt.datetime) -> None:
    """Leave a key under a lease after its first process died."""
    key = new_secret()
    secrets.add(key)
    for instant in (now, now + dt.timedelta(minutes=1)):
        claim_lease(record=record_id("idempotency", key), fingerprint=b"", now=instant, lease=1)


def spellings(secret: str) -> set[str]:
    """Return the spellings in which a secret might be written."""
    return {secret, secret[:24], repr(secret)[1:-1], quote(secret), base64.b64encode(secret.encode()).decode()[:40]}


#: Events that the story does not cause. They hold principals, permissions and names of keys.
NOT_CAUSED = {
    "AllGrantsRevoked",
    "BackupRestored",
    "CertificateAdmitted",
    "CertificatePending",
    "ClientDisabled",
    "ClientEnabled",
    "ClientRegistered",
    "GateHolderEnded",
    "GrantGiven",
    "GrantRevoked",
    "GroupMembershipRevoked",
    "LockedOut",
    "LockoutLifted",
    "PermissionRefused",
    "RevocationListImported",
    "ServerConfusesHeaders",
    "SignatureKeyRegistered",
    "SignatureKeyRevoked",
    "SimpleJWTAccepted",
    "UserDeactivated",
    "WouldRefuse",
}


def test_no_event_and_no_log_line_holds_a_secret(
    mtls_client: Clients,
    ca: Authority,
    certificate_for: Callable[[str], Issued],
    users: dict[str, User],
    now: dt.datetime,
    caplog: pytest.LogCaptureFixture,
    encryption_key: str,
) -> None:
    proxy_secret = settings.PROXY_SECRETS[0]
    private_key = settings.TOKEN_SIGNING_KEYS[0]["private_key"].split("\n")[1]
    secrets = {proxy_secret, private_key}
    with recorded() as events, caplog.at_level(logging.DEBUG):
        sessions(mtls_client, secrets)
        bearer(mtls_client, secrets, now)
        refreshing(mtls_client, secrets, encryption_key)
        identity(ca, certificate_for("alice"), proxy_secret)
        leases(secrets, now)

    names = {type(event).__name__ for event in events}
    assert {kind.__name__ for kind in every_event()} - names <= NOT_CAUSED
    # PyJWT's header is the same in every token of a key, and is no secret. The parts behind the header are.
    written = repr(events) + "".join(told_by(record) for record in caplog.records)
    rows = [*AuditRow.objects.values(), *audit.refusal_counts.take()]
    assert len(rows) > 20
    written += repr(rows)
    assert len(secrets) > 10
    found = {part for secret in secrets for part in spellings(secret) if part in written and not part.startswith("eyJ")}
    found |= {secret for secret in secrets if secret in written}
    assert not found


def told_by(record: logging.LogRecord) -> str:
    """Return the line of a log record and the fields that securecore added. Django adds the request, which holds
    everything.
    """
    return record.getMessage() + (repr(vars(record)) if record.name.startswith("securecore") else "")
