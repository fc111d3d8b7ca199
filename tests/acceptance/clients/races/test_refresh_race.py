"""One refresh token, 64 threads, four gunicorn workers behind nginx, and afterwards a thief.

SECURECORE_RACE_ROUNDS sets the number of rounds; `make soak` has 200.
"""

from __future__ import annotations

import math
import os
import random
import ssl
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from demo_project.stack import Stack
from tests.acceptance.clients.python import CERTIFICATE

ROUNDS = int(os.environ.get("SECURECORE_RACE_ROUNDS", "6"))
THREADS = 64
TIMEOUT = 60  # seconds until a thread that does not return counts as hung

Token = dict[str, Any]


class Crowd:
    """Sixty-four threads that act as one client, each with its own connection."""

    def __init__(self, stack: Stack) -> None:
        context = ssl.create_default_context(cafile=str(stack.pki / "ca.pem"))
        context.load_cert_chain(stack.pki / "alice.pem", stack.pki / "alice.key")
        options: Any = {"base_url": stack.url, "verify": context, "trust_env": False, "timeout": TIMEOUT}
        self._members = [httpx.Client(**options) for _ in range(THREADS)]
        self._threads = ThreadPoolExecutor(THREADS)
        self._barrier = threading.Barrier(THREADS)

    def close(self) -> None:
        self._threads.shutdown()
        for member in self._members:
            member.close()

    def obtain(self) -> Token:
        answer = self._members[0].post("/oauth/token", data={"grant_type": CERTIFICATE})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def redeem(self, tokens: Sequence[Token]) -> list[httpx.Response]:
        """Redeem up to 64 tokens, or one of them 64 times, at once."""

        def redeem(member: httpx.Client, token: Token) -> httpx.Response:
            if len(tokens) == THREADS:
                self._barrier.wait(TIMEOUT)
            form = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"]}
            return member.post("/oauth/token", data=form)

        return list(self._threads.map(redeem, self._members, tokens))

    def is_live(self, token: Token) -> bool:
        """Return whether the server reports a refresh token as live, without using the token."""
        answer = self._members[0].post("/oauth/introspect", data={"token": token["refresh_token"]})
        assert answer.status_code == 200, answer.text
        return bool(answer.json()["active"])

    def read(self, tokens: Sequence[Token]) -> set[int]:
        """Read a resource with each access token; return the statuses."""

        def read(member: httpx.Client, token: Token) -> int:
            headers = {"Authorization": f"Bearer {token['access_token']}"}
            return member.get("/api/whoami", headers=headers).status_code

        return set(self._threads.map(read, self._members, tokens))


@pytest.fixture
def crowd(demanding: Stack) -> Iterator[Crowd]:
    crowd = Crowd(demanding)
    yield crowd
    crowd.close()


def granted(answers: list[httpx.Response]) -> list[Token]:
    """Return the issued tokens, and assert that each refusal gives one of the two expected reasons."""
    for answer in answers:
        assert answer.status_code in (200, 400, 503), answer.text
        assert answer.status_code != 400 or answer.json() == {"error": "invalid_grant"}
    return [answer.json() for answer in answers if answer.status_code == 200]


def test_one_successor_lives_and_a_replay_ends_the_family(crowd: Crowd) -> None:
    statuses: Counter[int] = Counter()
    for _ in range(ROUNDS):
        first = crowd.obtain()
        answers = crowd.redeem([first] * THREADS)
        statuses.update(answer.status_code for answer in answers)
        successors = granted(answers)
        assert successors
        assert len({token["refresh_token"] for token in successors}) == len(successors)

        # Each token was issued to a thread. One is live; each later one voided the token before it.
        (newest,) = [token for token in successors if crowd.is_live(token)]
        live = granted(crowd.redeem([newest]))
        assert crowd.read(live) == {200}

        (theft,) = crowd.redeem([first])
        assert (theft.status_code, theft.json()) == (400, {"error": "invalid_grant"})
        family = [*live, first, *random.sample(successors, min(4, len(successors)))]
        assert not granted(crowd.redeem(family))
        assert crowd.read(family) == {401}
    print(f"\n{ROUNDS} rounds of {THREADS}: {dict(statuses)}, one live successor in each")


def test_a_voided_successor_ends_the_family(crowd: Crowd) -> None:
    """Two clients hold successors of one token and present all of them at once. No token is live in the end."""
    for _ in range(math.ceil(ROUNDS / 4)):
        successors = granted(crowd.redeem([crowd.obtain()] * THREADS))
        assert len(successors) > 1
        held = granted(crowd.redeem(successors))
        assert not [token for token in [*held, *successors] if crowd.is_live(token)]
        assert crowd.read(successors) == {401}


def test_a_token_and_its_successor_at_once_leave_one_successor_at_most(crowd: Crowd) -> None:
    """A retry arrives while the successor is used. In either order there are never two live successors."""
    lives: Counter[int] = Counter()
    for _ in range(math.ceil(ROUNDS / 4)):
        first = crowd.obtain()
        (answer,) = crowd.redeem([first])
        both = [first, answer.json()] * (THREADS // 2)
        held = granted(crowd.redeem(random.sample(both, THREADS)))
        lives[len(granted(crowd.redeem(held)))] += 1
        assert set(lives) <= {0, 1}
    print(f"\nlive successors: {dict(lives)}")
