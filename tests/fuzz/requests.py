"""Whole requests made of bytes, and of each the identity that its credentials can prove.

``generate()`` puts credentials into a request and writes down those that are good: ``certificate``, ``token``,
``session``, ``proof``, ``is_signed``. ``oracle.py`` holds the answer against them. A note may promise too much (a
credential that was changed afterwards counts as good), never too little.
"""

from __future__ import annotations

import secrets

from securecore import clock
from tests.fuzz.bodies import body
from tests.fuzz.choices import Choices
from tests.fuzz.credentials import UNIX, authorization, cookie, peer_and_certificate, proof, signature
from tests.fuzz.demo import HOST, USERS, Demo, environment
from tests.fuzz.sent import ORDERS, Sent

ROUTES = (
    "/api/whoami",
    *ORDERS,
    "/oauth/token",
    "/api/vouchers/redeem",
    "/api/vouchers",
    "/api/reports",
    "/api/accounts",
    "/api/admin/grants/grant",
    "/api/admin/grants/revoke",
    "/auth/login",
    "/auth/logout",
    "/auth/sessions",
    "/auth/sessions/00000000-0000-4000-8000-000000000000",
    "/oauth/revoke",
    "/oauth/introspect",
    "/oauth/jwks",
    "/.well-known/oauth-authorization-server",
    "/api/debug/memory",
    "/healthz",
    "/",
)

READ_ONLY = ("/api/whoami", "/api/reports", "/api/accounts", "/auth/sessions", "/oauth/jwks", "/healthz", "/")

METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT", "BREW")


def generate(data: bytes, demo: Demo) -> Sent:
    choices = Choices(data)
    path = choices.one((*ROUTES[:6], *ROUTES)) if not choices.rarely(16) else "/" + choices.text(60)
    usual = "GET" if path in READ_ONLY else "POST"
    method = choices.one(METHODS) if choices.rarely(4) else usual
    sent = Sent(environment(method, path, _query(choices)))
    user = choices.one(USERS)
    sent.environ |= {"REMOTE_ADDR": "", "gunicorn.socket": UNIX}
    # Most requests are odd in one respect: with several, nearly all would fail at the first check.
    odd = choices.one((*range(len(SECTIONS)), None, None, None))
    for number, section in enumerate(SECTIONS):
        section(sent, choices if odd in (None, number) else Choices(b""), demo, user)
    sent.is_busy = choices.rarely(128)
    return sent


def _query(choices: Choices) -> str:
    return choices.one(("", "", "", "", "", "memo=a", "memo=%00", "to=%ff&to=", "a=1&a=2", choices.text(30)))


def _headers(sent: Sent, choices: Choices, demo: Demo, user: str) -> None:
    if sent.path == "/api/transfers" or choices.rarely(6):
        key = f'"{secrets.token_urlsafe(16)}"'
        sent.environ["HTTP_IDEMPOTENCY_KEY"] = key if not choices.rarely(6) else choices.text()
    if choices.rarely(4):
        sent.environ |= choices.one(
            (
                {"HTTP_ORIGIN": f"https://{HOST}"},
                {"HTTP_ORIGIN": choices.one(("null", "https://evil.example", "https://[", choices.text()))},
                {"HTTP_SEC_FETCH_SITE": choices.one(("cross-site", "same-origin", choices.text()))},
                {"HTTP_HOST": choices.one(("evil.example", "localhost:1", "[::1", "", choices.text()))},
                {"HTTP_X_FORWARDED_PROTO": choices.one(("http", "https,http", choices.text()))},
                {"HTTP_ACCEPT": choices.one(("text/html", "application/json;q=a", "*/*;" * 40, choices.text()))},
                {"HTTP_EARLY_DATA": "1"},
                {"HTTP_X_REAL_IP": choices.text()},
                {"HTTP_X_FORWARDED_FOR": choices.one((",", "127.0.0.1", choices.text()))},
                {"HTTP_USER_AGENT": choices.one(("Mozilla/5.0", choices.text()))},
                {"HTTP_X_HTTP_METHOD_OVERRIDE": "DELETE", "HTTP_CONTENT_ENCODING": "gzip"},
                {"CONTENT_LENGTH": choices.one(("0", "1", "99999", "-1", "1e3", "٣", "9" * 30, choices.text(5)))},
                {"RAW_URI": choices.one(("/", sent.path + "?a", choices.text()))},
            )
        )
    if sent.body and choices.rarely(24):
        sent.breaks_after = choices.below(len(sent.body))


def _freshness(sent: Sent, choices: Choices, demo: Demo, user: str) -> None:
    if sent.path != "/api/payouts" and not choices.rarely(8):
        return
    stamp, nonce = int(clock.now().timestamp()), secrets.token_urlsafe(16)
    kind = choices.below(10)
    sent.is_fresh = kind < 6
    timestamp = {6: str(stamp - 4000), 7: str(stamp + 4000), 8: choices.text()}.get(kind, str(stamp))
    nonce = choices.one(("", "short", "x" * 129)) if kind == 9 else nonce
    sent.environ |= {"HTTP_X_REQUEST_TIMESTAMP": timestamp, "HTTP_X_REQUEST_NONCE": nonce}


def _changes(sent: Sent, choices: Choices, demo: Demo, user: str) -> None:
    """Change some headers: credentials in them may stay good, or be read otherwise."""
    for _ in range(choices.one((0, 0, 1, 1, 3))):
        # The proxy's header about the certificate is not changed: it decides whether the request proves a user.
        names = {name for name in sent.environ if name.startswith("HTTP_")} - {"HTTP_X_SSL_CLIENT_VERIFY"}
        if not names:
            return
        name = choices.one(sorted(names))
        sent.is_changed = True
        sent.is_fresh = True  # a changed timestamp may be in the window
        value = sent.environ[name]
        match choices.below(4):
            case 0:
                sent.environ[name] = choices.mutated(value)
            case 1:
                sent.environ[name] = f"{value},{value}"
            case 2:
                del sent.environ[name]
            case _:
                sent.environ[name] = choices.text(60)


#: In the order in which they need each other: a proof is for the token, a signature covers body and headers.
SECTIONS = (
    peer_and_certificate,
    body,
    _headers,
    _freshness,
    cookie,
    authorization,
    proof,
    signature,
    _changes,
)
