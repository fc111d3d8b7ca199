"""The service that is attacked: its plan, its routes, and what is remembered between checks."""

from __future__ import annotations

import json
import os
import secrets as randomness
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import httpx
from cryptography import x509
from cryptography.x509.oid import NameOID

from securecore_scan.client.wire import Request, Wire
from securecore_scan.plan import Call, Plan, environment_names, filled
from securecore_scan.secrets import Secrets
from securecore_scan.verdict import NotJudged, Skipped

Answer = TypeVar("Answer")


@dataclass
class Target:
    """Everything a check may use."""

    wire: Wire
    plan: Plan
    secrets: Secrets
    deep: bool = False
    routes: dict[str, str] = field(default_factory=dict)
    _remembered: dict[Any, Any] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    def once(self, act: Callable[[Target], Answer]) -> Answer:
        """Return what ``act`` returned when the first check of this scan asked; its refusal is remembered too."""
        if act not in self._remembered:
            try:
                self._remembered[act] = act(self), None
            except (NotJudged, Skipped) as reason:
                self._remembered[act] = None, reason
        answer, refusal = self._remembered[act]
        if refusal is not None:
            raise refusal
        return answer  # type: ignore[no-any-return]

    def rounds(self, standard: int) -> int:
        """Return how many rounds: ten times the standard ones in a deep scan."""
        return standard * 10 if self.deep else standard

    def values(self, who: str = "owner", **more: str) -> dict[str, str]:
        """Return new values for a plan's templates. A key, a nonce and a canary are good for one request."""
        fresh = randomness.token_hex(12)
        return {
            "canary": f"scan-{fresh}",
            "key": f"scan-key-{fresh}",
            "nonce": f"{randomness.token_hex(16)}",
            "timestamp": str(int(time.time())),
            "name": self.name(who),
            "owner": self.name("owner"),
            **self.once(_environment),
            **more,
        }

    def name(self, who: str) -> str:
        """Return the common name of a certificate, or nothing."""
        if who not in self._names:
            identity = self.wire.identity(who) if self.wire.has(who) else None
            self._names[who] = _common_name(identity.cert.read_bytes()) if identity else ""
        return self._names[who]

    def prepared(self, call: Call, values: Mapping[str, str]) -> Request:
        """Return the request that ``call`` means with these values."""
        headers = {str(name): str(value) for name, value in filled(call.headers, values).items()}
        content = b""
        if call.json is not None:
            headers.setdefault("Content-Type", "application/json")
            content = json.dumps(filled(call.json, values)).encode()
        elif call.form is not None:
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
            content = urlencode(filled(call.form, values)).encode()
        quoted = {name: quote(value, safe="") for name, value in values.items()}
        return Request(call.method, filled(call.path, quoted), tuple(headers.items()), content)

    def call(self, call: Call, who: str = "owner", headers: Mapping[str, str] | None = None, **more: str) -> Any:
        """Send what ``call`` means with new values, and return the answer."""
        request = self.prepared(call, self.values(who, **more))
        return self.wire.send(add_headers(request, headers or {}), who)

    def get(self, path: str, who: str = "owner", headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self.wire.send(add_headers(Request("GET", path), headers or {}), who)

    def answers_without_certificate(self) -> bool:
        """Say whether the port answers a connection without a certificate, while it answers the owner's."""
        try:
            self.get("/", "nobody")
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            # TLS 1.3 tells the client only when it reads.
            self.get("/")
            return False
        return True


def _environment(target: Target) -> dict[str, str]:
    names = environment_names(target.plan)
    if missing := sorted(names - set(os.environ)):
        raise Skipped(f"the plan wants the environment variable {missing[0]}")
    return {f"env:{name}": target.secrets.add(os.environ[name], "from the environment") for name in names}


def _common_name(pem: bytes) -> str:
    names = x509.load_pem_x509_certificate(pem).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def add_headers(request: Request, headers: Mapping[str, str]) -> Request:
    """Return ``request`` with these headers behind its own."""
    return Request(request.method, request.path, (*request.headers, *headers.items()), request.content)


def granted(response: httpx.Response) -> httpx.Response:
    """Return a response that an attack builds on. Raises ``NotJudged`` if the service said no."""
    if not response.is_success:
        raise NotJudged(f"{response.request.method} {response.url.path} answered {described(response)}")
    return response


def body(response: httpx.Response) -> Any:
    """Return the JSON of a response that an attack builds on. Raises ``NotJudged`` if the service said no."""
    try:
        return granted(response).json()
    except ValueError:
        raise NotJudged(f"{response.request.method} {response.url.path} answered no JSON") from None


def refused(response: httpx.Response) -> bool:
    """Say whether the service said no. Raises ``NotJudged`` if it failed: a 5xx is no answer to an attack."""
    if response.status_code >= 500:
        raise NotJudged(f"{response.request.method} {response.url.path} answered {described(response)}")
    return not response.is_success


def described(response: httpx.Response) -> str:
    """Return the status, with the problem's code if there is one. Never anything else of the body."""
    code = at(parsed(response), "code")
    return f"{response.status_code} {code}" if isinstance(code, str) and len(code) < 60 else str(response.status_code)


def tallied(answers: Iterable[httpx.Response]) -> str:
    """Return how many answers there were of each status."""
    return ", ".join(f"{number} x {status}" for status, number in sorted(Counter(map(described, answers)).items()))


def parsed(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def at(document: Any, path: str) -> Any:
    """Return what lies at ``path`` of a JSON document (``a.b``), None if nothing does."""
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document
