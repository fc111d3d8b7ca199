"""The service under test: its plan, the way to send requests to it, and results that several checks share."""

from __future__ import annotations

import base64
import math
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
from cryptography import x509
from cryptography.x509.oid import NameOID

from securecore_scan.client.operations import Operation
from securecore_scan.client.request import Request, build
from securecore_scan.client.transport import Transport
from securecore_scan.outcomes import Inconclusive, Skipped
from securecore_scan.plan import Account, Call, Plan
from securecore_scan.redaction import Redactor
from securecore_scan.templates import environment_names, fill

Answer = TypeVar("Answer")
#: Seconds for which an access token is used again: shorter than any token lives.
_FRESH = 20.0


@dataclass
class Target:
    """Everything that a check may use."""

    transport: Transport
    plan: Plan
    redactor: Redactor
    deep: bool = False
    routes: dict[str, str] = field(default_factory=dict)
    #: The operations of the service's OpenAPI document; empty if there is none.
    operations: tuple[Operation, ...] = ()
    #: The document was read, and none of its routes creates something harmless.
    creates_nothing: bool = False
    #: The document was read, and its unsafe routes change accounts, sessions and tokens only.
    changes_accounts_only: bool = False
    #: The reason why no login opened, such as ``POST /token asks for a password``; empty without such a login.
    login_problem: str = ""
    #: Object routes of the document for which no object can be created.
    unreached: tuple[Operation, ...] = ()
    #: Accounts that the scanner registered itself.
    registered: dict[str, Account] = field(default_factory=dict)
    #: Returns a new Authorization header of a role. None: the service knows its callers by their certificates.
    authorizer: Callable[[Target, str], str] | None = None
    #: Tells the user about a change of data, before the change.
    announce: Callable[[str], None] = lambda _: None
    _authorizations: dict[str, tuple[float, str]] = field(default_factory=dict)
    _cached: dict[Any, Any] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    def once(self, act: Callable[[Target], Answer]) -> Answer:
        """Call ``act`` for the first check that asks, and return the same result, or raise the same error, to others.

        Example: two checks measure the authorization race, and the rounds run once.
        """
        if act not in self._cached:
            try:
                self._cached[act] = act(self), None
            except (Inconclusive, Skipped) as reason:
                self._cached[act] = None, reason
        answer, error = self._cached[act]
        if error is not None:
            raise error
        return answer  # type: ignore[no-any-return]

    def rounds(self, standard: int) -> int:
        """Return the number of rounds: ``standard``, or ten times as many with --deep."""
        return standard * 10 if self.deep else standard

    def values(self, role: str = "owner", **more: str) -> dict[str, str]:
        """Return values for the placeholders of the plan. Key, nonce and canary are new in each call."""
        fresh = secrets.token_hex(12)
        values = {
            "canary": f"scan-{fresh}",
            "key": f"scan-key-{fresh}",
            "nonce": f"{secrets.token_hex(16)}",
            "timestamp": str(int(time.time())),
            "name": self.name(role),
            "owner": self.name("owner"),
            **self.once(_environment),
            **self.account_values(role),
            **more,
        }
        if "authorization" not in more:
            values["authorization"] = self.authorization(role)
        return values

    def lacking(self, reason: str) -> Skipped:
        """Return ``reason`` as the error of a skipped check. A login that did not open is the first reason of all."""
        return Skipped(self.login_problem or reason)

    def account(self, role: str) -> Account | None:
        """Return the account of a role: that of the plan, or the one that the scanner registered."""
        planned: Account | None = getattr(self.plan.accounts, role, None)
        return planned or self.registered.get(role)

    def authorization(self, role: str) -> str:
        """Return the Authorization header of a role, or an empty text if certificates name the callers."""
        if self.authorizer is None or self.account(role) is None:
            return ""
        issued, value = self._authorizations.get(role, (-math.inf, ""))
        if time.monotonic() - issued > _FRESH:
            value = self.authorizer(self, role)
            self._authorizations[role] = time.monotonic(), value
        return value

    def forget_authorizations(self) -> None:
        """Ask for new tokens from now on: the old ones were revoked."""
        self._authorizations.clear()

    def credentials(self, role: str) -> dict[str, str]:
        """Return the headers that name a role, beside its certificate."""
        value = self.authorization(role)
        return {"Authorization": value} if value else {}

    def as_role(self, request: Request, role: str) -> Request:
        """Return the request with the Authorization header of a role, unless the plan wrote one."""
        if any(name.lower() == "authorization" for name, _ in request.headers):
            return request
        return request.with_headers(self.credentials(role))

    def account_values(self, role: str) -> dict[str, str]:
        """Return the placeholders of a role's account, or none without an account."""
        account = self.account(role)
        if account is None:
            return {}
        name, password = (fill(text, self.once(_environment)) for text in (account.username, account.password))
        basic = base64.b64encode(f"{name}:{password}".encode()).decode()
        for secret, kind in ((password, "password"), (basic, "password")):
            self.redactor.add(secret, kind)
        email = account.email or (name if "@" in name else f"{name}@example.com")
        return {"username": name, "password": password, "email": email, "basic": basic}

    def name(self, role: str) -> str:
        """Return the common name of a role's certificate, else the name of its account, else an empty string."""
        account = self.account(role)
        if account is not None and not self.transport.has(role):
            return str(fill(account.username, self.once(_environment)))
        if role not in self._names:
            identity = self.transport.identity(role) if self.transport.has(role) else None
            self._names[role] = _common_name(identity.cert.read_bytes()) if identity else ""
        return self._names[role]

    def call(
        self, call: Call, role: str = "owner", headers: Mapping[str, str] | None = None, **more: str
    ) -> httpx.Response:
        """Fill ``call`` with new values, send the request, and return the response."""
        request = build(call, self.values(role, **more))
        return self.transport.send(request.with_headers(headers or {}), role)

    def get(self, path: str, role: str = "owner", headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self.transport.send(Request("GET", path).with_headers(headers or {}), role)

    def answers_without_certificate(self) -> bool:
        """Say whether the port answers a connection without a certificate. The port must answer the owner."""
        try:
            self.get("/", "anonymous")
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            # In TLS 1.3 the client learns of the refusal only when it reads. The request below proves that the port
            # refused the missing certificate and is not simply down.
            self.get("/")
            return False
        return True

    def is_alive(self) -> bool:
        """Say whether the service answers the owner."""
        try:
            self.get("/")
        except (httpx.HTTPError, Skipped):
            return False
        return True


def _environment(target: Target) -> dict[str, str]:
    names = environment_names(target.plan)
    if missing := sorted(names - set(os.environ)):
        raise Skipped(f"the plan needs the environment variable {missing[0]}")
    return {f"env:{name}": target.redactor.add(os.environ[name], "from the environment") for name in names}


def _common_name(pem: bytes) -> str:
    names = x509.load_pem_x509_certificate(pem).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""
