"""Mutations of a good token and of its good proof: 401 or 400, never 200, never 500.

The functions judge ten thousand. 1,000 go through WSGI with every middleware, in about four seconds;
`SECURECORE_MUTATIONS=10000` sends all ten thousand through WSGI.
"""

from __future__ import annotations

import datetime as dt
import io
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_started
from django.db import close_old_connections, connection

from securecore import tokens
from securecore.errors import InvalidDPoPProof, InvalidToken
from securecore.replay import verify_proof
from securecore.testing import MutualTLSClient
from tests.tokens.calls import ask, get, given, prove
from tests.tokens.forge import ABSENT, claims, header, sign

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.tokens.urls")]

SEED = 20261122
URL = "https://testserver/both"
#: PostgreSQL judges no mutation differently, so few run there.
REQUESTS = int(os.environ.get("SECURECORE_MUTATIONS", "1000")) if connection.vendor == "sqlite" else 200
ALPHABET = [*"ABCXYZabcxyz0189-_.=+/ \t%\"'{}[]:,", "\0", "\x7f", "\xa0", "\xff"]


def mutations(good: str, count: int, seed: int = SEED) -> Iterator[str]:
    """Return `count` versions of a text with a few characters changed, removed, inserted or moved."""
    chance = random.Random(seed)
    while count:
        mutated = mutation(list(good), chance)
        if mutated.strip() not in ("", good):
            count -= 1
            yield mutated


def mutation(part: list[str], chance: random.Random) -> str:
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        place = chance.randrange(len(part))
        match chance.randrange(5):
            case 0:
                part[place] = chance.choice(ALPHABET)
            case 1:
                part.insert(place + chance.choice((0, 1)), chance.choice(ALPHABET))
            case 2:
                del part[place : place + chance.choice((1, 1, 4, 40))]
            case 3:
                part[place] = part[place].swapcase()
            case _:
                other = chance.randrange(len(part))
                part[place], part[other] = part[other], part[place]
    return "".join(part)


def accepts_token(token: str, now: dt.datetime) -> bool:
    try:
        tokens.verify(token, now=now)
    except InvalidToken:
        return False
    return True


def accepts_proof(proof: str, token: str, now: dt.datetime) -> bool:
    try:
        verify_proof(proof, method="GET", url=URL, access_token=token, now=now, nonce_required=False)
    except InvalidDPoPProof:
        return False
    return True


@pytest.fixture
def token(client: MutualTLSClient) -> str:
    return str(given(client, proof=prove("/oauth/token", "POST"))["access_token"])


class TestFunctions:
    def test_functions_accept_none_of_five_thousand_tokens(self, token: str, now: dt.datetime) -> None:
        assert accepts_token(token, now)
        assert [mutated for mutated in mutations(token, 5_000) if accepts_token(mutated, now)] == []

    def test_functions_accept_none_of_five_thousand_proofs(self, token: str, now: dt.datetime) -> None:
        proof = prove("/both", token=token)
        assert accepts_proof(proof, token, now)
        assert [mutated for mutated in mutations(proof, 5_000) if accepts_proof(mutated, token, now)] == []

    @pytest.mark.parametrize("padding", ["=", "==", "===", "====", "%3D", " "])
    @pytest.mark.parametrize("part", [0, 1, 2])
    def test_functions_accept_one_spelling(self, token: str, now: dt.datetime, part: int, padding: str) -> None:
        parts = token.split(".")
        parts[part] += padding
        assert not accepts_token(".".join(parts), now)


@pytest.fixture
def status(client: MutualTLSClient) -> Iterator[Callable[[str, str], int]]:
    """`status(token, proof)` is the status that the WSGI application returns.

    Django's test client takes as long as the request itself, and raises the exceptions that a server turns into a 500.
    """
    application = WSGIHandler()
    environ = client._base_environ(PATH_INFO="/both", REQUEST_METHOD="GET")  # type: ignore[attr-defined]
    environ |= {"wsgi.url_scheme": "https", "SERVER_PORT": "443"}

    def status(token: str, proof: str) -> int:
        headers = {"HTTP_AUTHORIZATION": f"DPoP {token}", "HTTP_DPOP": proof, "wsgi.input": io.BytesIO()}
        answers: list[str] = []
        # The test client does the same: a worker begins with a fresh connection, and the test's transaction needs this
        # one.
        request_started.disconnect(close_old_connections)
        start: Any = lambda line, headers: answers.append(line)  # noqa: E731
        application(environ | headers, start)
        return int(answers[0].split()[0])

    yield status
    request_started.connect(close_old_connections)  # once, also if it was connected several times


class TestRequests:
    def test_requests_with_a_mutated_token_are_refused(self, status: Callable[[str, str], int], token: str) -> None:
        """Each request has a proof of the right key for the mutated text, so that only the token is wrong."""
        assert status(token, prove("/both", token=token)) == 200
        for mutated in mutations(token, REQUESTS // 2, SEED + 1):
            assert status(mutated, prove("/both", token=mutated.strip())) == 401

    def test_requests_with_a_mutated_proof_are_refused(self, status: Callable[[str, str], int], token: str) -> None:
        for mutated in mutations(prove("/both", token=token), REQUESTS // 2, SEED + 2):
            assert status(token, mutated) == 401

    def test_requests_with_both_mutated_are_refused(self, client: MutualTLSClient, token: str) -> None:
        proof = prove("/both", token=token)
        pairs = zip(mutations(token, 50, SEED + 3), mutations(proof, 50, SEED + 4), strict=True)
        for mutated, mutated_proof in pairs:
            assert get(client, mutated, scheme="DPoP", proof=mutated_proof).status_code == 401

    def test_requests_for_a_token_with_a_mutated_proof_are_refused(self, client: MutualTLSClient) -> None:
        for mutated in mutations(prove("/oauth/token", "POST"), 50, SEED + 5):
            assert ask(client, proof=mutated).status_code == 400

    def test_requests_with_a_mutated_bearer_token_are_refused(self, client: MutualTLSClient) -> None:
        for mutated in mutations(given(client)["access_token"], 100, SEED + 6):
            assert get(client, mutated).status_code == 401

    def test_requests_with_a_mutated_refresh_token_are_refused(self, client: MutualTLSClient) -> None:
        good = given(client)["refresh_token"]
        for mutated in mutations(good, 50, SEED + 7):
            assert ask(client, "refresh_token", refresh_token=mutated).status_code == 400
        assert ask(client, "refresh_token", refresh_token=good).status_code == 200


def test_claims_signed_by_us_are_never_a_500(client: MutualTLSClient, thumbprint: str, now: dt.datetime) -> None:
    """Even a token signed by the service's own key causes no error."""
    chance = random.Random(SEED)
    odd: list[Any] = [None, True, 0, -1, 1e400, "", "\0", [], {}, [[]], {"x5t#S256": []}, "x" * 300, 10**40, ABSENT]
    odd += [[0], [0, 0, 0], [1, -1], ["0", "0"], [0, 10**40], [0.0, 0], "0" * 32]
    alice = str(User.objects.get(username="alice").pk)
    good = claims(now, sub=alice, cnf={"x5t#S256": thumbprint}, scope="x", family=ABSENT)
    for _ in range(600):
        said = {
            name: chance.choice(odd) if chance.random() < 0.25 else good.get(name, ABSENT) for name in (*good, "family")
        }
        said = {name: value for name, value in said.items() if value is not ABSENT}
        changed = {name for name in said.keys() | good.keys() if said.get(name, ABSENT) != good.get(name, ABSENT)}
        status = get(client, sign(header(), said)).status_code
        harmless = {"iat", "jti", "client_id", "exp", "scope", "epochs"}
        assert status == 401 or (status == 200 and changed <= harmless), said
