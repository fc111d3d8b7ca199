"""Every sabotage, and the test that must notice it.

A test that cannot fail proves nothing. For each promise of the project there is at least one entry: the smallest change
that breaks it, and the test that turns red. `make sabotage` tries them all; `find` must stand exactly once in `file`.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.sabotage.sessions import SESSIONS


@dataclass(frozen=True, kw_only=True)
class Sabotage:
    """`find` in `file` becomes `replace`, which breaks `promise`; the pytest node `test` must fail on `database`."""

    name: str
    promise: str
    file: str
    find: str
    replace: str
    test: str
    database: Literal["sqlite", "postgresql"] = "sqlite"


def listed(feature: str) -> tuple[Sabotage, ...]:
    """Those of a feature, from its list beside this file."""
    text = Path(__file__).with_name(f"{feature}.toml").read_text()
    return tuple(Sabotage(**entry) for entry in tomllib.loads(text)["sabotage"])


CATALOGUE: tuple[Sabotage, ...] = (
    Sabotage(
        name="a layer is bypassed",
        promise="imports point down only",
        file="securecore/digests.py",
        find="from __future__ import annotations\n",
        replace="from __future__ import annotations\n\nimport securecore.db\n",
        test="tests/structure/test_imports.py::test_contracts_are_kept",
    ),
    *(
        Sabotage(
            name=f"DPoP: {name}",
            promise="a DPoP proof is accepted once, for the request and by the key it was made for",
            file=f"securecore/replay/{file}.py",
            find=find,
            replace=replace,
            test=f"tests/replay/{test}",
        )
        for name, file, find, replace, test in (
            ("two proofs", "dpop", '"," not in presented', "True", "test_dpop.py::Test1ExactlyOneHeader"),
            ("no size limit", "dpop", "len(presented) <= _LONGEST_PROOF", "True", "test_dpop.py::Test2WellFormedJwt"),
            ("twin members", "dpop", "len(members) == len(pairs)", "True", "test_dpop.py::Test2WellFormedJwt"),
            ("claims of any type", "dpop", "isinstance(value, str) and ", "", "test_dpop.py::Test3RequiredClaims"),
            ("any typ", "dpop", 'header.get("typ") == "dpop+jwt"', "True", "test_dpop.py::test_4_typ_is_dpop_jwt"),
            (
                "any alg",
                "proof_key",
                '    "RS256": (',
                '    "RS512": ("RS512", _RSA),\n    "RS256": (',
                "test_dpop.py::Test5Algorithm",
            ),
            (
                "keys from elsewhere",
                "dpop",
                "not _REFUSED_PARAMETERS & header.keys()",
                "True",
                "test_dpop.py::Test5Algorithm",
            ),
            ("no signature", "dpop", "_demand(good,", "_demand(True,", "test_dpop.py::Test6Signature"),
            (
                "private keys",
                "proof_key",
                "_PRIVATE_MEMBERS & jwk.keys()",
                "None",
                "test_dpop_keys.py::Test7PublicKeyOnly",
            ),
            ("any method", "dpop", 'claims["htm"] == method', "True", "test_dpop.py::Test8Method"),
            ("any URL", "dpop", "_demand(is_here,", "_demand(True,", "test_dpop.py::Test9Url"),
            ("any nonce", "dpop", "raise UseDPoPNonce", "return", "test_dpop.py::Test10Nonce"),
            (
                "old proofs",
                "dpop",
                "-ahead <= age <= settings.REPLAY_WINDOW",
                "-ahead <= age",
                "test_dpop.py::Test11Time",
            ),
            ("early proofs", "dpop", "-ahead <= age <= ", "age <= ", "test_dpop.py::Test11Time"),
            ("any access token", "dpop", "_demand(fits,", "_demand(True,", "test_dpop.py::Test12AccessToken"),
            ("replays", "dpop", "if not store.claim(", "if None is store.claim(", "test_dpop_claim.py::TestClaimProof"),
            ("forgotten early", "store", " + settings.CLOCK_SKEW + 1", "", "test_dpop_claim.py::TestClaimProof"),
            (
                "undone claims",
                "store",
                'db.require_no_transaction(f"The',
                'str(f"The',
                "test_dpop_claim.py::TestClaimProof",
            ),
            (
                "weak keys",
                "proof_key",
                "key.key_size < 2048 or ",
                "",
                "test_dpop_keys.py::test_refuses_a_short_rsa_key",
            ),
            ("eternal nonces", "server_nonce", "// WINDOW", "// 10**9", "test_server_nonce.py"),
        )
    ),
    *listed("access"),
    *listed("review_share"),
    *listed("identity"),
    *listed("sessions"),
    *listed("tokens"),
    *listed("token_service"),
    *listed("replay"),
    *listed("signatures"),
    *listed("replay_cache"),
    *listed("client"),
    *listed("idempotency"),
    *listed("grants"),
    *listed("purge"),
    *listed("http"),
    *listed("conf"),
    *listed("checks"),
    *listed("events"),
    *listed("scan"),
    *listed("review_caller"),
    *listed("review_deny"),
    *listed("review_revoked"),
    *listed("review_obtained"),
    *listed("review_input"),
    *listed("review_fuzz"),
    *listed("review_habits"),
    *(
        Sabotage(
            name=f"session: {name}",
            promise="a session is opened by its owner alone, and its id changes with its privileges",
            file=f"securecore/{file}.py",
            find=find,
            replace=replace,
            test=f"tests/sessions/{test}",
            database=database,
        )
        for name, file, find, replace, test, database in SESSIONS
    ),
)
