"""Whole requests made of bytes, and of each the identity that its credentials can prove.

``generate()`` puts credentials into a request and writes down those that are good: ``certificate``, ``token``,
``session``, ``proof``, ``is_signed``. ``oracle.py`` holds the answer against them. A note may promise too much (a
credential that was changed afterwards counts as good), never too little.
"""

from __future__ import annotations

import io
import json
import secrets
import socket
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from securecore import clock, digests
from securecore.client.proofs import MessageSignature, Outgoing
from tests.fuzz.choices import Choices
from tests.fuzz.demo import FORM, HOST, NAMES, USERS, Demo, Token, environment
from tests.fuzz.headers import READ_BY, encoded

ORDERS = ("/api/transfers", "/api/payouts", "/api/payouts/signed", "/api/payouts/proven")
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
COOKIE = "__Host-sessionid"
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


@dataclass
class Sent:
    """A request, and the good credentials in it."""

    environ: dict[str, Any]
    body: bytes = b""
    #: The user of a certificate that the trusted proxy verified.
    certificate: str = ""
    #: A good token in the Authorization header, with its certificate or proof.
    token: Token | None = None
    #: Whether the Authorization header asks for a token class, so that no other credential may answer.
    is_by_token: bool = False
    #: The user of a session, which opens under the user's certificate only.
    session: str = ""
    #: The user whose DPoP key has signed a good proof.
    proof: str = ""
    is_signed: bool = False
    is_fresh: bool = False
    is_changed: bool = False
    #: Bytes after which the connection breaks.
    breaks_after: int | None = None
    is_busy: bool = False
    is_again: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def path(self) -> str:
        return str(self.environ["PATH_INFO"])

    @property
    def method(self) -> str:
        return str(self.environ["REQUEST_METHOD"])

    @property
    def callers(self) -> set[str]:
        """The users that this request may act as."""
        tokens = {self.token.user} if self.token else set()
        others = {name for name in (self.certificate, self.session) if name}
        if self.is_changed:
            return tokens | others
        return tokens if self.is_by_token else others

    def outgoing(self) -> dict[str, Any]:
        """Return the environ of one attempt."""
        stream = Breaking(self.body[: self.breaks_after]) if self.breaks_after is not None else io.BytesIO(self.body)
        return {**self.environ, "wsgi.input": stream, "wsgi.errors": io.StringIO()}


class Breaking(io.BytesIO):
    """A body whose client hangs up."""

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        if not found:
            raise ConnectionResetError("the client hung up")
        return found

    readline = read


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


def _peer_and_certificate(sent: Sent, choices: Choices, demo: Demo, user: str) -> None:
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


def _body(sent: Sent, choices: Choices, demo: Demo, user: str) -> None:
    if sent.method in ("GET", "HEAD") and not choices.rarely(8):
        return
    kind, body = _good_body(sent.path, choices, demo, user)
    match choices.below(20):
        case 12:
            body = choices.mutated(body.decode("latin-1")).encode("latin-1")
        case 13:
            body = choices.take(choices.below(100))
        case 14:
            depth = choices.one((10, 900, 100_000))
            body = choices.one((b"[", b'{"a":', b"[{")) * depth
        case 15:
            kind, body = FORM, b"&".join([b"a=%ff"] * choices.one((1, 50, 1200)))
        case 16:
            kind, body = "multipart/form-data; boundary=x", _multipart(choices)
        case 17:
            kind = choices.one(("", "text/plain", "application/json; charset=utf-16", f"{FORM}; charset=punycode"))
        case 18:
            charset = choices.one(("hex", "idna", "undefined", "utf-7", "x*=hex''%41", choices.text()))
            kind = choices.one((f"{FORM}; charset={charset}", f"a/b; x*={charset}''%41", choices.text()))
        case 19:
            body = choices.one(
                (b"null", b"[]", b'"a"', b"1e999", b'{"to":"\\ud800","amount":1}', b"\xff\xfe", b"9" * 5000)
            )
    sent.body = body
    sent.environ |= {"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body))}


def _good_body(path: str, choices: Choices, demo: Demo, user: str) -> tuple[str, bytes]:
    other = choices.one([name for name in USERS if name != user])
    if path.startswith("/oauth/"):
        return FORM, urlencode(_oauth_form(path, choices, demo, user)).encode()
    if path.startswith("/api/admin/"):
        name = choices.one((*USERS, "nobody"))
        return "application/json", _json(principal=name, permission=choices.one(("transfers.create", "other", "A\0")))
    if path == "/api/vouchers/redeem":
        return "application/json", _json(code=choices.one((*demo.vouchers, choices.text())))
    amount = choices.one((1, 1, 1, 1, 10**12, 0, -1, 2**63, 0.5, "1", True, None, [], 10**400))
    if path in ORDERS:
        return "application/json", _json(to=other, amount=amount, memo=choices.text(3))
    return "application/json", b"{}"


def _json(**values: Any) -> bytes:
    return json.dumps(values).encode()


def _oauth_form(path: str, choices: Choices, demo: Demo, user: str) -> dict[str, str]:
    name = user if not choices.rarely(4) else choices.one(NAMES)
    if path != "/oauth/token":
        return {"client_id": name, "token": choices.one((demo.refresh[user], choices.one(demo.tokens).text, "a.b.c"))}
    grant = choices.one(("client_credentials", "urn:securecore:grant-type:certificate", "refresh_token", "password"))
    form = {"grant_type": grant, "client_id": name}
    if grant == "refresh_token":
        form["refresh_token"] = choices.one((demo.refresh[user], choices.one(list(demo.refresh.values())), "\0"))
    if choices.rarely(4):
        form[choices.one(("scope", "client_secret", "resource"))] = choices.text()
    return form


def _multipart(choices: Choices) -> bytes:
    part = b'--x\r\nContent-Disposition: form-data; name="a"%s\r\n\r\n%s\r\n'
    file = choices.one((b"", b'; filename="a"', b'; filename="../a\0"', b"; filename*=hex''%41"))
    return part % (file, choices.take(10)) * choices.one((1, 3, 300)) + choices.one((b"--x--\r\n", b"", b"--x"))


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


def _cookie(sent: Sent, choices: Choices, demo: Demo, user: str) -> None:
    name = user if not choices.rarely(4) else choices.one(USERS)
    session = demo.sessions[name]
    csrf = f"; __Host-csrftoken={'a' * 32}" if choices.rarely(3) else ""
    kind = choices.below(12)
    if kind < 6 and not csrf:
        return
    values = {9: choices.text(60), 10: choices.mutated(session), 11: f"{session}; {COOKIE}={choices.text(60)}"}
    sent.environ["HTTP_COOKIE"] = f"{COOKIE}={values.get(kind, session)}{csrf}"
    # An id that was changed names no session. Which of two cookies counts, Django decides.
    if kind not in (9, 10) and sent.certificate == name:
        sent.session = name


def _authorization(sent: Sent, choices: Choices, demo: Demo, user: str) -> None:
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


def _proof(sent: Sent, choices: Choices, demo: Demo, user: str) -> None:
    token = sent.token if sent.token is not None and sent.token.key else None
    wants_proof = token is not None or (sent.path == "/oauth/token" and choices.rarely(3))
    if wants_proof or choices.rarely(16):
        kind = choices.below(16)
        key = token.user if token else user
        claims: dict[str, Any] = {} if token is None else {"ath": digests.access_token_hash(token.text)}
        key = "stranger" if kind == 8 else key
        claims |= _bad_claims(kind, choices)
        proof = demo.proof(key, sent.method, f"https://{HOST}{sent.path}", **claims)
        if kind == 15:
            proof = choices.one((f"{proof},{proof}", choices.mutated(proof), choices.text(), f"{proof}."))
        sent.environ["HTTP_DPOP"] = proof
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


def _signature(sent: Sent, choices: Choices, demo: Demo, user: str) -> None:
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
        proof = MessageSignature(demo.keys[signer], demo.thumbprints[signer])
        headers = proof.headers(Outgoing(sent.method, url, fields, sent.body))
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


def _changes(sent: Sent, choices: Choices, demo: Demo, user: str) -> None:
    """Change some headers: credentials in them may stay good, or be read otherwise."""
    for _ in range(choices.one((0, 0, 1, 1, 3))):
        name = choices.one(sorted(name for name in sent.environ if name.startswith("HTTP_")))
        if name == "HTTP_X_SSL_CLIENT_VERIFY":
            continue  # it says what the proxy found: the generator itself chooses that
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
    _peer_and_certificate,
    _body,
    _headers,
    _freshness,
    _cookie,
    _authorization,
    _proof,
    _signature,
    _changes,
)
