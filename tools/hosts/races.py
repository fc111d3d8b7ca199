"""The races: one request to all hosts at once, and requests to the others behind the return of a revocation."""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier
from urllib.parse import urlencode

import psycopg

from tools.chaos.client import Answer
from tools.hosts.hosts import Host, Hosts

#: Requests to each host in a race.
EACH = 2
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class Verdict:
    """The number of tries for each promise, and the cases in which it did not hold."""

    isolation: str
    tries: Counter[str] = field(default_factory=Counter)
    broken: dict[str, list[str]] = field(default_factory=dict)
    #: Honest requests that a host refused because of its clock.
    refused: int = 0

    @property
    def good(self) -> bool:
        return sum(self.tries.values()) > 0 and not self.broken

    def judge(self, promise: str, holds: bool, case: str) -> None:
        self.tries[promise] += 1
        if not holds:
            self.broken.setdefault(promise, []).append(case)

    def __str__(self) -> str:
        tries = ", ".join(f"{count} x {promise}" for promise, count in sorted(self.tries.items()))
        lines = [f"three hosts in {self.isolation}: {tries}; {self.refused} honest requests refused"]
        lines.append("GOOD: every promise held" if self.good else "BAD:")
        lines += [f"  {promise}: {len(cases)}, first {cases[0]}" for promise, cases in self.broken.items()]
        return "\n".join(lines)


class Races:
    def __init__(self, hosts: Hosts, pool: ThreadPoolExecutor) -> None:
        self.hosts, self._pool = hosts, pool
        self.verdict = Verdict(hosts.isolation)

    def run(self, rounds: int) -> Verdict:
        """Run every race ``rounds`` times."""
        for number in range(rounds):
            self.nonce()
            self.key()
            self.token(number)
            self.grant(number)
            self.session(number)
        for _ in range(min(rounds, 3)):
            self.old_nonce()
        return self.verdict

    def nonce(self) -> None:
        headers = {"X-Request-Timestamp": str(int(time.time())), "X-Request-Nonce": secrets.token_urlsafe(16)}
        answers = self._everywhere(lambda host: host.send("alice", "POST", "/api/payouts", body=_payout(), **headers))
        count = sum(answer.status == 201 for answer in answers)
        self.verdict.judge("a nonce is accepted once", count == 1 or self._all_refused(answers), f"{count} accepted")

    def old_nonce(self) -> None:
        """Use an old nonce on the slow host; purge on the fast host; use the nonce everywhere again.

        The slow host accepts the timestamp for 20 s more, so also a slow machine comes to the second use in time.
        """
        slow = min(self.hosts.each, key=lambda host: host.ahead)
        made_at = int(time.time() + slow.ahead - 40)
        headers = {"X-Request-Timestamp": str(made_at), "X-Request-Nonce": secrets.token_urlsafe(16)}
        first = slow.send("alice", "POST", "/api/payouts", body=_payout(), **headers)
        self.hosts.purge()
        again = [host.send("alice", "POST", "/api/payouts", body=_payout(), **headers) for host in self.hosts.each]
        count = sum(answer.status == 201 for answer in [first, *again])
        self.verdict.judge("a purge makes no nonce good again", count <= 1, f"{count} accepted")

    def key(self) -> None:
        key = secrets.token_urlsafe(16)
        body = json.dumps({"to": "bob", "amount": 1, "memo": key})
        answers = self._everywhere(
            lambda host: host.send("alice", "POST", "/api/transfers", body=body, **{"Idempotency-Key": key})
        )
        ids = {json.loads(answer.body)["id"] for answer in answers if answer.status == 201}
        with psycopg.connect(self.hosts.database_url) as connection:
            [(rows,)] = connection.execute("SELECT count(*) FROM payments_transfer WHERE memo = %s", [key]).fetchall()
        self.verdict.judge("a key has one effect", rows == 1 == len(ids), f"{rows} effects, {len(ids)} answers")

    def token(self, number: int) -> None:
        issuer, revoker = self._pair(number)
        form = urlencode({"grant_type": "client_credentials", "client_id": "alice"})
        token = json.loads(issuer.send("alice", "POST", "/oauth/token", body=form, **FORM).body)["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        before = [host.send("alice", "GET", "/api/reports", **bearer).status for host in self.hosts.each]
        self.verdict.refused += sum(status != 200 for status in before)
        form = urlencode({"token": token, "client_id": "alice"})
        assert revoker.send("alice", "POST", "/oauth/revoke", body=form, **FORM).status == 200
        answers = self._everywhere(lambda host: host.send("alice", "GET", "/api/reports", **bearer))
        count = sum(answer.status == 200 for answer in answers)
        self.verdict.judge("a revoked token is refused everywhere", count == 0, f"{count} accepted")

    def grant(self, number: int) -> None:
        _, revoker = self._pair(number)
        order = json.dumps({"principal": "bob", "permission": "transfers.create"})

        def transfer(host: Host) -> Answer:
            key = secrets.token_urlsafe(16)
            body = json.dumps({"to": "alice", "amount": 1, "memo": "grant"})
            return host.send("bob", "POST", "/api/transfers", body=body, **{"Idempotency-Key": key})

        racing = [self._pool.submit(transfer, host) for host in self.hosts.each]
        assert revoker.send("carol", "POST", "/api/admin/grants/revoke", body=order).status == 200
        effects = self._effects()
        for each in racing:
            each.result()
        answers = self._everywhere(transfer)
        late = self._effects() - effects
        count = sum(answer.status == 201 for answer in answers)
        self.verdict.judge("no effect after a revocation", late == count == 0, f"{late} effects, {count} accepted")
        assert revoker.send("carol", "POST", "/api/admin/grants/grant", body=order).status == 200

    def session(self, number: int) -> None:
        first, other = self._pair(number)
        answer = first.send("carol", "POST", "/auth/login", body="{}")
        cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
        seen = [json.loads(host.send("carol", "GET", "/api/whoami", **cookie).body) for host in self.hosts.each]
        self.verdict.refused += sum(not each.get("session") for each in seen)
        other.send("carol", "POST", "/auth/logout", **cookie, Origin="https://localhost:8443")
        answers = self._everywhere(lambda host: host.send("carol", "GET", "/api/whoami", **cookie))
        count = sum(bool(json.loads(answer.body).get("session")) for answer in answers)
        self.verdict.judge("an ended session is refused everywhere", count == 0, f"{count} accepted")

    def _effects(self) -> int:
        with psycopg.connect(self.hosts.database_url) as connection:
            [(count,)] = connection.execute("SELECT count(*) FROM payments_transfer WHERE memo = 'grant'").fetchall()
        return int(count)

    def _pair(self, number: int) -> tuple[Host, Host]:
        return self.hosts.each[number % 3], self.hosts.each[(number + 1) % 3]

    def _everywhere(self, request: Callable[[Host], Answer]) -> Sequence[Answer]:
        """Send the request to each host, ``EACH`` times, all at the same instant."""
        targets = [host for host in self.hosts.each for _ in range(EACH)]
        barrier = Barrier(len(targets))

        def run(host: Host) -> Answer:
            barrier.wait(30)
            return request(host)

        return list(self._pool.map(run, targets))

    def _all_refused(self, answers: Sequence[Answer]) -> bool:
        stale = [json.loads(answer.body).get("code") == "timestamp-stale" for answer in answers]
        self.verdict.refused += sum(stale)
        return all(stale)


def _payout() -> str:
    return json.dumps({"to": "hosts", "amount": 1})
