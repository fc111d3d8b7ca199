"""Credentials in a request: good ones are noted, dead, forged and changed ones are not."""

from __future__ import annotations

import socket
from typing import Any

from securecore import clock
from securecore_client.proofs import MessageSignature, Outgoing
from securecore_client.wire.thumbprints import access_token_hash
from tests.fuzz.choices import Choices
from tests.fuzz.demo import HOST, NAMES, USERS, Demo
from tests.fuzz.headers import READ_BY, encoded
from tests.fuzz.sent import COOKIE, Sent

TOKEN_SCHEMES = ("Bearer", "DPoP")

UNIX, TCP = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_INET)

#: REMOTE_ADDR, the socket that gunicorn hands over, and whether this peer is the proxy.
PEERS: tuple[tuple[str, Any, bool], ...] = (
    ("", UNIX, True),
    ("", None, True),
    ("10.0.0.1", None, False),
    ("", TCP, False),
    ("10.0.0.1", TCP, False),
)


def peer_and_certificate(sent: Sent, choices: Choices, demo: Demo, user: str) -> None:
    address, connection, is_trusted = choices.one((*PEERS[:1] * 6, *PEERS))
    sent.environ["REMOTE_ADDR"] = address
    sent.environ.pop("gunicorn.socket", None)
    if connection is not None:
        sent.environ["gunicorn.socket"] = connection
    kind = choices.below(12)
    name = user if kind < 6 else choices.one(NAMES)
    headers = encoded("nginx", demo.der[name])
    verify = "SUCCESS"
    if kind == 7:
        return
    if kind == 8:
        headers = encoded(choices.one(READ_BY), demo.der[name])
        verify = headers.get("HTTP_X_SSL_CLIENT_VERIFY", "")
    elif kind == 9:
        verify = choices.one(("FAILED:certificate has expired", "NONE", "", "success", "SUCCESS,SUCCESS", "0"))
    elif kind == 10:
        headers["HTTP_X_SSL_CLIENT_CERT"] = choices.mutated(headers["HTTP_X_SSL_CLIENT_CERT"])
    elif kind == 11:
        headers |= {"HTTP_CLIENT_CERT": choices.text(), "HTTP_X_SSL_CLIENT_DN": "CN=carol"}
    headers.pop("HTTP_X_SSL_CLIENT_VERIFY", None)
    sent.environ |= headers | ({"HTTP_X_SSL_CLIENT_VERIFY": verify} if verify else {})
    if is_trusted and verify == "SUCCESS" and "HTTP_X_SSL_CLIENT_CERT" in headers and name in USERS:
        sent.certificate = name


def cookie(sent: Sent, choices: Choices, demo: Demo, user: str) -> None:
    name = user if not choices.rarely(4) else choices.one(USERS)
    session = demo.sessions[name]
    csrf = f"; __Host-csrftoken={'a' * 32}" if choices.rarely(3) else ""
    kind = choices.below(12)
    if kind < 6 and not csrf:
        return
    values = {9: choices.text(60), 10: choices.mutated(session), 11: f"{session}; {COOKIE}={choices.text(60)}"}
    sent.environ["HTTP_COOKIE"] = f"{COOKIE}={values.get(kind, session)}{csrf}"
    # An id that was changed names no session, unless the change is none. Which of two cookies counts, Django decides.
    if sent.certificate == name and session in sent.environ["HTTP_COOKIE"]:
        sent.session = name


def authorization(sent: Sent, choices: Choices, demo: Demo, user: str) -> None:
    kind = choices.below(16)
    wants_token = sent.path in ("/api/reports", "/api/payouts/proven")
    if kind < 8 and not wants_token:
        return
    own = [token for token in demo.tokens if token.user == user]
    token = choices.one(own) if kind < 12 else choices.one(demo.tokens) if kind == 12 else choices.one(demo.dead)
    if sent.path == "/api/payouts/proven" and kind < 12:
        token = own[1]
    scheme = TOKEN_SCHEMES[bool(token.key)]
    if choices.rarely(8):
        scheme = choices.one(("bearer", "DPOP", "Basic", "Bearer:", "", "Bearer ", choices.text(8)))
    sent.environ["HTTP_AUTHORIZATION"] = f"{scheme} {token.text}"
    if kind == 15:
        sent.environ["HTTP_AUTHORIZATION"] = choices.mutated(f"{scheme} {token.text}")
        sent.is_changed = True
    sent.is_by_token = scheme.strip().lower() in ("bearer", "dpop", "bearer:")
    # A DPoP-bound token becomes good with its proof.
    sent.token = token if token.is_good and (token.key or token.certificate == sent.certificate) else None


def proof(sent: Sent, choices: Choices, demo: Demo, user: str) -> None:
    token = sent.token if sent.token is not None and sent.token.key else None
    wants_proof = token is not None or (sent.path == "/oauth/token" and choices.rarely(3))
    if wants_proof or choices.rarely(16):
        kind = choices.below(16)
        key = token.user if token else user
        claims: dict[str, Any] = {} if token is None else {"ath": access_token_hash(token.text)}
        key = "stranger" if kind == 8 else key
        claims |= _bad_claims(kind, choices)
        made = demo.proof(key, sent.method, f"https://{HOST}{sent.path}", **claims)
        if kind == 15:
            made = choices.one((f"{made},{made}", choices.mutated(made), choices.text(), f"{made}."))
        sent.environ["HTTP_DPOP"] = made
        sent.proof = key if kind < 9 or kind == 15 else ""
    if token is not None and sent.proof != token.key:
        sent.token = None


def _bad_claims(kind: int, choices: Choices) -> dict[str, Any]:
    now = int(clock.now().timestamp())
    match kind:
        case 9:
            return {"htm": choices.one(("TEAPOT", "", "post"))}
        case 10:
            return {"htu": choices.one(("https://evil.example/", "", "https://[", f"https://{HOST}/elsewhere"))}
        case 11:
            return {"iat": choices.one((now - 4000, now + 4000, "now", -1, 10**30, 1e300, True, None))}
        case 12:
            return {"ath": choices.text(), "nonce": choices.one((1, None, [], "a"))}
        case 13:
            return {"jti": choices.one(("", "x" * 5000, None)), "htu": 1}
        case 14:
            return {"htm": ["POST"], "htu": {"a": 1}}
    return {}


def signature(sent: Sent, choices: Choices, demo: Demo, user: str) -> None:
    if sent.path != "/api/payouts/signed" and not choices.rarely(16):
        return
    names = {
        "CONTENT_TYPE": "content-type",
        "HTTP_IDEMPOTENCY_KEY": "idempotency-key",
        "HTTP_AUTHORIZATION": "authorization",
    }
    fields = {said: sent.environ[name] for name, said in names.items() if sent.environ.get(name)}
    signer = sent.certificate or choices.one(NAMES)
    url = f"https://{HOST}{sent.path}" + (f"?{sent.environ['QUERY_STRING']}" if sent.environ["QUERY_STRING"] else "")
    try:
        signing = MessageSignature(demo.keys[signer], demo.thumbprints[signer])
        headers = signing.headers(Outgoing(sent.method, url, fields, sent.body))
    except (ValueError, TypeError):  # a target that no client could sign
        return
    sent.environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    sent.is_signed = signer == sent.certificate
    match choices.below(10):
        case 6:
            changed = sent.body.replace(b'"amount": 1', b'"amount": 2')
            sent.is_signed = sent.is_signed and changed == sent.body
            sent.body = changed
        case 7:
            sent.environ["HTTP_SIGNATURE"] = choices.one(("sig=:AAAA:", "sig=1", "a", 'sig="', choices.text()))
            sent.is_signed = False
        case 8:
            whole = sent.environ["HTTP_SIGNATURE_INPUT"]
            sent.environ["HTTP_SIGNATURE_INPUT"] = whole.replace('"@method"', '"@path"')
            sent.is_signed = False
        case 9:  # blanks in it may change nothing
            sent.environ["HTTP_SIGNATURE_INPUT"] = choices.mutated(sent.environ["HTTP_SIGNATURE_INPUT"])
