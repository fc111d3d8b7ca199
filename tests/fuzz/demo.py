"""The demo in process, and the credentials that a request may present: live, dead and forged ones.

Import it after ``prepare_environment()`` and ``django.setup()``.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.management import call_command

from demo_project import pki
from demo_project.management.commands.seed import STARTING_BALANCE
from demo_project.payments import vouchers
from demo_project.payments.models import Account
from demo_project.wsgi import application
from securecore import clock, digests, tokens
from securecore.revocation import revoke_certificate, revoke_token
from securecore_client.wire.thumbprints import thumbprint
from tests.fuzz.headers import encoded

HOST = "localhost"
#: Users with good certificates. "expired", "revoked" and "stranger" have certificates too, which prove nobody.
USERS = ("alice", "bob", "carol", "service")
NAMES = (*USERS, "revoked", "expired", "stranger")
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Token:
    """An access token. ``is_good`` says whether it proves ``user`` together with ``certificate`` or ``key``."""

    text: str
    user: str
    jti: str = ""
    certificate: str = ""
    key: str = ""
    is_good: bool = True


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Demo:
    """``renew()`` makes all that requests use up: the fuzzer revokes tokens, ends sessions and spends money."""

    def __init__(self) -> None:
        folder = Path(django_settings.VAR) / "pki"
        pki.prepare(folder, now=dt.datetime.now(dt.UTC))
        call_command("migrate", verbosity=0)
        call_command("seed", stdout=io.StringIO())
        certificates = {name: load_pem_x509_certificate((folder / f"{name}.pem").read_bytes()) for name in NAMES}
        self.der = {name: each.public_bytes(Encoding.DER) for name, each in certificates.items()}
        self.thumbprints = {name: thumbprint(der) for name, der in self.der.items()}
        self.keys: dict[str, Any] = {
            name: load_pem_private_key((folder / f"{name}.key").read_bytes(), None) for name in NAMES
        }
        #: DPoP keys: each user's, and a stranger's.
        self.dpop = {name: ec.generate_private_key(ec.SECP256R1()) for name in NAMES}
        self.user_ids = {user.username: str(user.pk) for user in User.objects.all()}
        revoke_certificate(thumbprint=self.thumbprints["revoked"])
        self.renew()

    def renew(self) -> None:
        self.tokens = [token for name in USERS for token in (self._bearer(name), self._dpop_bound(name))]
        self.dead = [*self._revoked(), *self._expired(), *self._forged()]
        self.sessions = {name: self._session(name) for name in USERS}
        self.refresh = {name: self._refresh(name) for name in USERS}
        users = {user.username: user for user in User.objects.filter(username__in=USERS)}
        self.vouchers = {vouchers.issue(user=users[name]): name for name in USERS}
        Account.objects.update(balance=STARTING_BALANCE)

    def proof(self, key: str, method: str, url: str, **claims: Any) -> str:
        """Return a DPoP proof by the key of ``key``. ``claims`` replace those of a good one."""
        signer = self.dpop[key]
        jwk = jwt.get_algorithm_by_name("ES256").to_jwk(signer.public_key(), as_dict=True)
        jwk = {name: jwk[name] for name in ("kty", "crv", "x", "y")}
        said = {"jti": secrets.token_urlsafe(16), "htm": method, "htu": url, "iat": int(clock.now().timestamp())}
        return jwt.encode(said | claims, signer, "ES256", headers={"typ": "dpop+jwt", "jwk": jwk})

    def _jkt(self, name: str) -> str:
        jwk = jwt.get_algorithm_by_name("ES256").to_jwk(self.dpop[name].public_key(), as_dict=True)
        return digests.jwk_thumbprint(jwk)

    def _issued(self, name: str, binding: str, **more: Any) -> tuple[str, str]:
        values: dict[str, Any] = {
            "subject": self.user_ids[name],
            "client_id": name,
            "is_registered": False,
            "now": clock.now(),
        }
        text, token = tokens.issue(**values | {"binding": binding} | more)
        return text, token.jti

    def _bearer(self, name: str, **more: Any) -> Token:
        text, jti = self._issued(name, f"x5t#S256:{self.thumbprints[name]}", **more)
        return Token(text, name, jti, certificate=name)

    def _dpop_bound(self, name: str) -> Token:
        text, jti = self._issued(name, f"jkt:{self._jkt(name)}", certificate=self.thumbprints[name])
        return Token(text, name, jti, key=name)

    def _dead(self, token: Token, text: str = "") -> Token:
        return dataclasses.replace(token, text=text or token.text, is_good=False)

    def _revoked(self) -> list[Token]:
        found = [make(name) for name in USERS for make in (self._bearer, self._dpop_bound)]
        for token in found:
            said = jwt.decode(token.text, options={"verify_signature": False})
            revoke_token(issuer=said["iss"], jti=said["jti"], expires_at=clock.now() + dt.timedelta(hours=1))
        return [self._dead(token) for token in found]

    def _expired(self) -> list[Token]:
        past = clock.now() - dt.timedelta(days=1)
        return [self._dead(self._bearer(name, now=past)) for name in USERS]

    def _forged(self) -> list[Token]:
        """Tokens of carol that somebody else made, and the live token of alice that says carol."""
        token = self._bearer("carol")
        said = jwt.decode(token.text, options={"verify_signature": False})
        headers = jwt.get_unverified_header(token.text)
        alices = self._bearer("alice").text.split(".")
        swapped = ".".join((alices[0], token.text.split(".")[1], alices[2]))
        texts = [
            jwt.encode(said, self.keys["stranger"], "ES256", headers=headers),
            jwt.encode(said, "", "none", headers=headers | {"alg": "none"}),
            jwt.encode(said, "a secret that is long enough for HS256", "HS256", headers=headers | {"alg": "HS256"}),
            jwt.encode(said, self.keys["stranger"], "ES256", headers=headers | {"kid": "../../etc/passwd\0"}),
            swapped,
        ]
        return [self._dead(token, text) for text in texts]

    def _session(self, name: str) -> str:
        answer = self.ask("POST", "/auth/login", encoded("nginx", self.der[name]), b"{}")
        return answer.headers["Set-Cookie"].partition(";")[0].partition("=")[2]

    def _refresh(self, name: str) -> str:
        body = b"grant_type=urn:securecore:grant-type:certificate&client_id=" + name.encode()
        answer = self.ask("POST", "/oauth/token", encoded("nginx", self.der[name]), body, FORM)
        return str(answer.json["refresh_token"])

    def ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes, kind: str = "application/json"
    ) -> Answer:
        """Return the answer to a request of the trusted proxy."""
        environ = environment(method, path) | headers
        return call(environ | {"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)})


def environment(method: str, path: str, query: str = "") -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": HOST,
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": HOST,
        "HTTP_X_FORWARDED_PROTO": "https",
        "REMOTE_ADDR": "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def call(environ: dict[str, Any]) -> Answer:
    """Return the answer of the WSGI application, as a server takes it. An exception is the caller's."""
    answer = Answer()

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
        answer.status, answer.headers = int(status.split()[0]), dict(headers)

    response = application(environ, start_response)
    try:
        answer.body = b"".join(response)
    finally:
        getattr(response, "close", bool)()
    return answer
