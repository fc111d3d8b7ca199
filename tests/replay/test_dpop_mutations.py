"""Random mutations of a good proof are refused, without any other exception."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from securecore.errors import InvalidDPoPProof, UseDPoPNonce
from securecore.replay import server_nonce
from tests.replay.proofs import ACCEPTED, CLAIMS, NOW, Signer, verify

MUTATIONS = 5_000


@pytest.mark.parametrize("signer", ACCEPTED, ids=lambda signer: signer.alg)
def test_chance_finds_no_other_answer_than_a_refusal(signer: Signer) -> None:
    chance = random.Random(signer.alg)  # always the same seed, so that a failure can be repeated
    good = signer.proof(nonce=server_nonce.current(NOW))
    verify(good)
    outcomes: dict[str, int] = {}
    for _ in range(MUTATIONS // len(ACCEPTED)):
        mutant = chance.choice((mutated_text, mutated_member, mutated_json))(signer, good, chance)
        if mutant == good:
            continue
        try:
            verify(mutant)
        except (InvalidDPoPProof, UseDPoPNonce) as refusal:
            outcomes[refusal.code] = outcomes.get(refusal.code, 0) + 1
        else:
            pytest.fail(f"accepted {mutant!r}")
    assert set(outcomes) == {"invalid-dpop-proof", "use-dpop-nonce"}


JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 10**400, -(10**30), float("inf"), float("nan"), "", "x", "\0", "\ud800", "é" * 99),
    *("A" * 43, "https://[", "https://api.example:99999999/", [], [[]], {}, {"kty": "EC"}, "x" * 7000),
)


def mutated_text(signer: Signer, good: str, chance: random.Random) -> str:
    """One to three characters replaced, removed, doubled or inserted."""
    characters = list(good)
    for _ in range(chance.randint(1, 3)):
        position = chance.randrange(len(characters))
        new = chance.choice(
            ("", ".", ",", "=", " ", "\n", "\0", "é", "\ud800", "A", "z", "_", characters[position] * 2)
        )
        characters[position] = new
    return "".join(characters)


def mutated_member(signer: Signer, good: str, chance: random.Random) -> str:
    """A member of the header, of the key or of the claims is junk, and the whole is signed."""
    header = {"typ": "dpop+jwt", "alg": signer.alg, "jwk": dict(signer.jwk)}
    claims = {**CLAIMS, "nonce": server_nonce.current(NOW)}
    members: dict[str, Any] = chance.choice((header, header["jwk"], claims, claims))  # type: ignore[arg-type]
    name = chance.choice([name for name in members if name != "jti"])
    members[name] = chance.choice([junk for junk in JUNK if junk != members[name]])
    return signer.sign(json.dumps(header), json.dumps(claims))


def mutated_json(signer: Signer, good: str, chance: random.Random) -> str:
    """Header or claims are not the JSON they were, and the whole is signed."""
    texts = [json.dumps({"typ": "dpop+jwt", "alg": signer.alg, "jwk": signer.jwk}), json.dumps(CLAIMS)]
    which = chance.randrange(2)
    position = chance.randrange(len(texts[which]))
    texts[which] = chance.choice(
        (
            texts[which][:position],
            "[" * chance.randint(1, 2000) + texts[which],
            texts[which][:-1] + "," + texts[which][1:],
            "\ufeff" + texts[which],
        )
    )
    return signer.sign(*texts)
