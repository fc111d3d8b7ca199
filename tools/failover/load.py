"""The load of a run: one kind of thread for each promise, and the replays of everything that was accepted.

A flow's ``step`` makes new requests; ``replay`` presents again each value that the service must refuse now.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from securecore_client import DPoP
from securecore_client.proofs import Outgoing
from tools.chaos.history import History
from tools.failover.caller import PAUSE, Caller

#: Seconds in which a captured request can be replayed: a little less than ``REPLAY_WINDOW``.
REPLAYABLE = 55
#: Threads of each flow.
THREADS = 2
Over = Callable[[], bool]


class Flow(Protocol):
    name: str

    def step(self, over: Over) -> None: ...

    def replay(self, over: Over) -> None: ...


class _Proven:
    """Payouts that are accepted once each, by a nonce or a proof."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._accepted: deque[tuple[float, str, dict[str, Any]]] = deque()
        self._lock = threading.Lock()

    name, path = "", ""

    def headers(self, over: Over) -> dict[str, str]:
        raise NotImplementedError

    def step(self, over: Over) -> None:
        value = f"{self.name}-{secrets.token_hex(8)}"
        request = {"json": {"to": value, "amount": 1}, "headers": self.headers(over)}
        made_at = time.monotonic()
        answer = self._caller.send(self.name, value, "POST", self.path, **request)
        if answer is not None and answer.status_code == 201:
            with self._lock:
                self._accepted.append((made_at, value, request))
        else:
            time.sleep(PAUSE)

    def replay(self, over: Over) -> None:
        with self._lock:
            captured = list(self._accepted)
        for made_at, value, request in captured:
            if time.monotonic() - made_at < REPLAYABLE:
                self._caller.send(self.name, value, "POST", self.path, **request)
        with self._lock:
            while self._accepted and time.monotonic() - self._accepted[0][0] > REPLAYABLE:
                self._accepted.popleft()


class Nonces(_Proven):
    name, path = "nonce", "/api/payouts"

    def headers(self, over: Over) -> dict[str, str]:
        return {"X-Request-Timestamp": str(int(time.time())), "X-Request-Nonce": secrets.token_urlsafe(16)}


class Proofs(_Proven):
    name, path = "proof", "/api/payouts/proven"

    def __init__(self, caller: Caller) -> None:
        super().__init__(caller)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._token, self._until = "", 0.0

    def headers(self, over: Over) -> dict[str, str]:
        if time.monotonic() > self._until:
            proof = DPoP(self._key).headers(Outgoing("POST", f"{self._caller.url}/oauth/token", {}))
            form = {"grant_type": "client_credentials", "client_id": "alice"}
            answer = self._caller.send("proof-token", "", "POST", "/oauth/token", data=form, headers=proof)
            if answer is not None and answer.status_code == 200:
                self._token, self._until = answer.json()["access_token"], time.monotonic() + 200
        return DPoP(self._key, self._token).headers(Outgoing("POST", f"{self._caller.url}{self.path}", {}))


class Orders:
    """Transfers with an idempotency key, each sent until it is answered, and once more."""

    name = "key"

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def step(self, over: Over) -> None:
        key = f"key-{secrets.token_hex(8)}"
        body = {"to": "bob", "amount": 1, "memo": key}
        for _ in range(2):
            headers = {"Idempotency-Key": key}
            self._caller.insist(over, self.name, key, "POST", "/api/transfers", json=body, headers=headers)

    def replay(self, over: Over) -> None:
        """The second request of each step is the replay."""


class Refreshes:
    """A chain of refresh tokens. A token with a used successor must be refused for ever."""

    name = "refresh"

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._chain: list[str] = []

    def step(self, over: Over) -> None:
        if not self._chain:
            form = {"grant_type": "urn:securecore:grant-type:certificate", "client_id": "alice"}
            first = self._caller.insist(over, "refresh-start", "", "POST", "/oauth/token", data=form)
            self._chain = [] if first is None else [first.json()["refresh_token"]]
            return
        answer = self._present("refresh", self._chain[-1])
        if answer is None or answer.status_code >= 500:
            time.sleep(PAUSE)  # then the same token again, as after a lost response
        elif answer.status_code == 200:
            self._chain.append(answer.json()["refresh_token"])
        else:
            self._chain = []

    def replay(self, over: Over) -> None:
        used = self._chain[:-2]  # the successor of each was acknowledged, and used with acknowledgement
        self._chain = []
        for token in reversed(used[-5:]):
            self._present("refresh-replay", token)

    def _present(self, flow: str, token: str) -> Any:
        form = {"grant_type": "refresh_token", "client_id": "alice", "refresh_token": token}
        return self._caller.send(flow, token[:8], "POST", "/oauth/token", data=form)


class Tokens:
    """Access tokens that are revoked, and presented afterwards."""

    name = "revoked-token"

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._revoked: deque[str] = deque(maxlen=200)

    def step(self, over: Over) -> None:
        form = {"grant_type": "client_credentials", "client_id": "alice"}
        answer = self._caller.insist(over, "token", "", "POST", "/oauth/token", data=form)
        if answer is None:
            return
        token = answer.json()["access_token"]
        form = {"token": token, "client_id": "alice"}
        answer = self._caller.insist(over, "revocation", "", "POST", "/oauth/revoke", data=form)
        if answer is not None and answer.status_code == 200:
            self._revoked.append(token)
            self._present(token)

    def replay(self, over: Over) -> None:
        for token in list(self._revoked):
            self._present(token)

    def _present(self, token: str) -> None:
        # The signature is the part that differs between two tokens.
        headers = {"Authorization": f"Bearer {token}"}
        self._caller.send(self.name, token[-12:], "GET", "/api/reports", headers=headers)


class Grants:
    """A permission that an administrator revokes; its holder goes on trying."""

    name = "revoked-grant"

    def __init__(self, holder: Caller, administrator: Caller) -> None:
        self._holder, self._administrator = holder, administrator

    def step(self, over: Over) -> None:
        if self._change("revoke", over):
            until = time.monotonic() + 1
            while time.monotonic() < until:
                self._try(self.name)
            if self._change("grant", over):
                self._try("grant")

    def replay(self, over: Over) -> None:
        """The holder tries all the time."""

    def _change(self, action: str, over: Over) -> bool:
        body = {"principal": "bob", "permission": "transfers.create"}
        path = f"/api/admin/grants/{action}"
        answer = self._administrator.insist(over, f"{action}-grant", "", "POST", path, json=body)
        return answer is not None and answer.status_code == 200

    def _try(self, flow: str) -> None:
        memo = f"{flow}-{secrets.token_hex(8)}"
        body = {"to": "alice", "amount": 1, "memo": memo}
        answer = self._holder.send(flow, memo, "POST", "/api/transfers", json=body, headers={"Idempotency-Key": memo})
        if answer is None or answer.status_code >= 500:
            time.sleep(PAUSE)


@contextmanager
def load(url: str, pki: Path, history: History, names: frozenset[str] = frozenset()) -> Iterator[Callable[[], None]]:
    """Run the flows (or those with these ``names``) beside the block. The block gets a function that replays."""
    over = threading.Event()

    def caller(name: str) -> Caller:
        return Caller(url, pki, name, history)

    flows: list[Flow] = [Grants(caller("bob"), caller("carol"))]
    for _ in range(THREADS):
        kinds: tuple[Callable[[Caller], Flow], ...] = (Nonces, Proofs, Orders, Refreshes, Tokens)
        flows += [make(caller("alice")) for make in kinds]
    flows = [flow for flow in flows if not names or flow.name in names]
    asked = {id(flow): threading.Event() for flow in flows}

    def work(flow: Flow) -> None:
        while not over.is_set():
            flow.step(over.is_set)
            if asked[id(flow)].is_set():
                flow.replay(over.is_set)
                asked[id(flow)].clear()

    def replay() -> None:
        """Let each flow present everything that must be refused, and wait for it."""
        for event in asked.values():
            event.set()
        deadline = time.monotonic() + REPLAYABLE
        while any(event.is_set() for event in asked.values()) and time.monotonic() < deadline:
            time.sleep(0.05)

    threads = [threading.Thread(target=work, args=(flow,), daemon=True) for flow in flows]
    for thread in threads:
        thread.start()
    try:
        yield replay
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
