"""The properties of every answer, and of the effects of its request."""

from __future__ import annotations

import sqlite3
import time
import traceback
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jwt
from django.conf import settings as django_settings
from django.core.signals import got_request_exception
from django.db import connection

from demo_project.management.commands.seed import MAY_TRANSFER
from demo_project.payments.models import Payout, Transfer
from tests.fuzz.choices import Choices
from tests.fuzz.demo import Answer, Demo, call
from tests.fuzz.requests import generate
from tests.fuzz.sent import COOKIE, Sent

PROBLEM = "application/problem+json"
#: Requests after which the demo's credentials are made anew.
RENEWAL = 400
#: Seconds of CPU for one request; the slowest takes a tenth of it.
SLOWEST = 5.0
TRANSFER = "transfers.create"
#: Views of Django that say 405 without a body.
_PLAIN = ("/", "/healthz", "/oauth/jwks", "/.well-known/oauth-authorization-server")


class Finding(AssertionError):
    """An answer or an effect that no request may have."""


def require(holds: object, message: str) -> None:
    if not holds:
        raise Finding(message)


class Fuzzer:
    """Sends requests, judges each, and repeats some of those that had an effect."""

    def __init__(self) -> None:
        self.demo = Demo()
        self.sent_in_all = 0
        self.tally: Counter[str] = Counter()
        self.slowest = (0.0, "")
        self._accepted: deque[Sent] = deque(maxlen=50)
        self._may_transfer = set(MAY_TRANSFER)
        self._failure = ""
        got_request_exception.connect(self._note_failure)

    def request(self, data: bytes) -> None:
        """Send the requests in ``data``. Raises ``Finding``, and each exception of the application."""
        if self.sent_in_all % RENEWAL == RENEWAL - 1:
            self.demo.renew()
        self.sent_in_all += 1
        if data[:1] > b"\xf0" and self._accepted:
            sent = Choices(data[1:]).one(self._accepted)
            sent.is_again, sent.is_busy = True, False
        else:
            sent = generate(data[1:], self.demo)
        self._judge(sent)

    def _judge(self, sent: Sent) -> None:
        before, may, self._failure = self._effects(), set(self._may_transfer), ""
        started = time.process_time()
        with self._busy(sent.is_busy):
            answer = call(sent.outgoing())
        self.slowest = max(self.slowest, (time.process_time() - started, f"{sent.method} {sent.path[:60]!r}"))
        self.tally[f"{sent.method} {sent.path} {answer.status}" if answer.status < 300 else str(answer.status)] += 1
        try:
            self._check_answer(sent, answer)
            self._check_effects(sent, before, may)
            self._check_freshness(sent, self.slowest[0])
        except Finding as finding:
            raise Finding(f"{finding}\n{described(sent, answer)}\n{self._failure}") from None

    def _check_freshness(self, sent: Sent, seconds: float) -> None:
        require(seconds < SLOWEST, f"{seconds:.1f} s of CPU for one request")

    def _check_answer(self, sent: Sent, answer: Answer) -> None:
        if answer.status == 503:
            require(sent.is_busy, "503, and the database was not busy")
        require(answer.status < 500 or answer.status == 503, "a request that makes a 5xx")
        if answer.status >= 400:
            _check_refusal(sent, answer)
        elif answer.status < 300 and sent.method in ("GET", "POST", "DELETE", "PUT", "PATCH"):
            self._check_identity(sent, answer)
        _check_session(sent, answer)

    def _check_identity(self, sent: Sent, answer: Answer) -> None:
        path = sent.path
        if path.startswith(("/api/", "/auth/")) and path not in ("/api/schema", "/auth/login"):
            require(sent.callers, "an answer for nobody")
        if path == "/api/whoami":
            _check_whoami(sent, answer.json, self.demo)
        elif path == "/auth/login":
            require(answer.json["user"] == sent.certificate, "a session for somebody else")
        elif path == "/api/reports":
            require(sent.token, "a report without a token")
        elif path == "/oauth/token":
            self._check_issued(sent, answer.json["access_token"])
        elif path == "/oauth/introspect" and answer.json["active"]:
            require(answer.json["sub"] == self.demo.user_ids.get(sent.certificate), "somebody else's token is shown")
        elif path.startswith("/api/admin/grants/"):
            require("carol" in sent.callers, "a grant by a user that is no administrator")
            said = answer.json
            if said["permission"] == TRANSFER:
                (self._may_transfer.add if said["granted"] else self._may_transfer.discard)(said["principal"])

    def _check_issued(self, sent: Sent, text: str) -> None:
        said = jwt.decode(text, options={"verify_signature": False})
        require(sent.certificate, "a token without a certificate")
        require(said["sub"] == self.demo.user_ids[sent.certificate], "a token for somebody else")
        if "jkt" in said["cnf"]:
            require(sent.proof, "a token bound to a key that nobody proved")
        else:
            bound = said["cnf"]["x5t#S256"]
            require(bound == self.demo.thumbprints[sent.certificate], "a token bound to somebody else's certificate")

    def _check_effects(self, sent: Sent, before: tuple[int, int, int], may: set[str]) -> None:
        after = self._effects()
        require(sent.method == "POST" or after == before, "an effect of a safe method")
        if after == before:
            return
        require(sum(after[:2]) == sum(before[:2]) + 1, "one request, and not one effect")
        require(not sent.is_again, "a request that was repeated had its effect again")
        if after[0] != before[0]:
            transfer = Transfer.objects.select_related("payer__owner").get(pk=after[0])
            payer, paid_out = transfer.payer.owner.username, 0
            require(sent.path == "/api/transfers", "a transfer elsewhere")
            require(payer in may, "a transfer without the permission")
        else:
            payout = Payout.objects.select_related("payer__owner").get(pk=after[1])
            payer, paid_out = payout.payer.owner.username, payout.amount
            self._check_payout(sent, payer)
        require(payer in sent.callers, f"{payer} paid")
        require(before[2] - after[2] == paid_out, "money was made or lost")
        self.tally["effects"] += 1
        self._accepted.append(sent)

    def _check_payout(self, sent: Sent, payer: str) -> None:
        if sent.path == "/api/payouts":
            require(sent.is_fresh, "a payout without a fresh timestamp and nonce")
        elif sent.path == "/api/payouts/proven":
            require(sent.token and sent.token.key == payer, "a payout without the proof of the token's key")
        elif sent.path == "/api/payouts/signed":
            require(sent.is_signed, "a payout without a signature of this request")
        else:
            require(sent.path == "/api/vouchers/redeem", "a payout elsewhere")
            owners = {name for code, name in self.demo.vouchers.items() if code.encode() in sent.body}
            require(payer in owners, "a payout for somebody else's voucher")

    @staticmethod
    def _effects() -> tuple[int, int, int]:
        """Return the newest transfer, the newest payout, and the sum of all balances."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT (SELECT coalesce(max(id), 0) FROM payments_transfer),"
                " (SELECT coalesce(max(id), 0) FROM payments_payout), (SELECT sum(balance) FROM payments_account)"
            )
            transfer, payout, balances = cursor.fetchone()
        return transfer, payout, balances

    @contextmanager
    def _busy(self, is_busy: bool) -> Iterator[None]:
        """Hold SQLite's write lock, as another process would."""
        if not is_busy:
            yield
            return
        connection.close()
        holder = sqlite3.connect(django_settings.DATABASES["default"]["NAME"], isolation_level=None)
        try:
            holder.execute("BEGIN IMMEDIATE")
            yield
        finally:
            holder.close()

    def _note_failure(self, **_: Any) -> None:
        self._failure = traceback.format_exc()


def _check_refusal(sent: Sent, answer: Answer) -> None:
    kind = answer.headers.get("Content-Type", "")
    if sent.path in _PLAIN and answer.status == 405:
        return
    if sent.path.startswith("/oauth/") and kind == "application/json":
        require(answer.json.get("error"), "an error of the token service without its name")
        return
    require(kind == PROBLEM, f"a refusal as {kind!r}")
    said = answer.json
    require(said["code"] and said["type"] and said["status"] == answer.status, "a problem without code, type, status")


def _check_whoami(sent: Sent, said: dict[str, Any], demo: Demo) -> None:
    require(said["user"] in sent.callers, f"the request is {said['user']!r}, which it never proved")
    certificate, token = said["certificate"], said["token"]
    if certificate is not None:
        require(certificate["thumbprint"] in demo.thumbprints.values(), "a certificate of nobody")
        names = {name for name, each in demo.thumbprints.items() if each == certificate["thumbprint"]}
        require(sent.environ["REMOTE_ADDR"] == "" and names, "a certificate that no proxy verified")
        require(names <= {sent.certificate, "stranger"}, "somebody else's certificate")
    if token is not None:
        require(sent.token and sent.token.jti == token, "a token that the request never proved")
    require(not said["session"] or sent.session, "a session that the request cannot open")


def _check_session(sent: Sent, answer: Answer) -> None:
    new = answer.headers.get("Set-Cookie", "").partition(f"{COOKIE}=")[2].partition(";")[0].strip('"')
    if new:
        require(new not in sent.environ.get("HTTP_COOKIE", ""), "a session id that the client chose")


def described(sent: Sent, answer: Answer) -> str:
    peer = getattr(sent.environ.get("gunicorn.socket"), "family", None)
    headers = {name: value for name, value in sent.environ.items() if name.isupper() and "SSL_CLIENT_CERT" not in name}
    proven = f"callers {sent.callers} certificate {sent.certificate!r} token {sent.token} proof {sent.proof!r}"
    return (
        f"{answer.status} {answer.headers} {answer.body[:400]!r}\nto {headers}\n{sent.body[:400]!r}\n"
        f"peer {peer} changed {sent.is_changed} again {sent.is_again} busy {sent.is_busy} "
        f"breaks {sent.breaks_after}\n{proven}"
    )
