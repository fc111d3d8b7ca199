"""The JWS vectors of Wycheproof, for the algorithms of securecore's keys.

Their payloads are no claims, so no token is accepted. The tests compare the reason of the refusal. The checks before
the
signature (`kid`, `typ`) are held open, so a good signature shows as a refusal of the claims. Left out are RS384, RS512,
PS384, PS512 and ES512, which no key of securecore can have, and vectors about `use` and `key_ops` of a JWK:
securecore's keys are PEM files, and no key comes from outside.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import jwt
import pytest

from securecore import tokens
from securecore.conf import SIGNING_ALGORITHMS
from securecore.errors import InvalidToken
from securecore.tokens import access
from securecore.tokens.keys import SigningKey
from tests.support import vectors

#: Published as good, refused by securecore: PS384 under a key for PS256, and characters that base64url does not have.
STRICTER = {346, 350, 372, 373}
#: Published as bad, and character by character the token that is published as good under 357.
CONTRADICTED = {367, 370}


class Anything:
    """Contains everything."""

    def __contains__(self, item: object) -> bool:
        return True


def judged() -> list[Any]:
    """Return every vector of a supported algorithm: the key, the token, and whether its signature is good."""
    return [
        pytest.param(
            jwk,
            test["jws"],
            test["result"] == "valid" and test["tcId"] not in STRICTER,
            id=f"{group['comment']}-{test['tcId']}-{test['comment']}",
        )
        for group in vectors.load("wycheproof/json_web_signature_test.json")["testGroups"]
        for jwk in [group.get("public", group["private"])]
        if jwk.get("alg") in SIGNING_ALGORITHMS
        for test in group["tests"]
        if test["tcId"] not in CONTRADICTED
    ]


VECTORS = judged()


@pytest.mark.parametrize(("jwk", "token", "valid"), VECTORS)
def test_signature_is_judged_as_published(
    monkeypatch: pytest.MonkeyPatch, now: dt.datetime, jwk: dict[str, Any], token: Any, valid: bool
) -> None:
    public = jwt.get_algorithm_by_name(jwk["alg"]).from_jwk(json.dumps(jwk))
    key = SigningKey("vector", jwk["alg"], None, public)
    monkeypatch.setattr(access, "known_key", lambda kid, now: key)
    monkeypatch.setattr(access, "_TYPES", Anything())
    text = token if isinstance(token, str) else json.dumps(token)
    with pytest.raises(InvalidToken) as refusal:
        tokens.verify(text, now=now)
    assert str(refusal.value.__cause__).startswith("Invalid payload string") is valid


def test_there_are_vectors_of_both_kinds() -> None:
    verdicts = [vector.values[2] for vector in VECTORS]
    assert verdicts.count(True) >= 10
    assert verdicts.count(False) >= 300
