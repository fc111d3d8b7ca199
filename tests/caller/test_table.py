"""The table itself, and the page that prints it."""

from __future__ import annotations

from itertools import combinations

import pytest

from securecore.caller.credential_table import (
    BEARER,
    BOUND,
    CERTIFICATE,
    CLIENT,
    DPOP,
    EVERY_KIND,
    NOBODY,
    OBTAINED,
    OTHER,
    SAME_USER,
    SESSION,
    TABLE,
    TOKENS,
    Choice,
    ProvenCredential,
    choose,
)
from tests.support.tree import ROOT

ALICE, BOB = "user:1", "user:2"


def test_is_the_one_in_the_manual() -> None:
    page = (ROOT / "docs" / "callers.md").read_text()
    printed = page.partition("## The table")[2].partition("\n\n")[2].partition("\n\n")[0].splitlines()
    rows = [f"| {first} | {second} | {'; '.join(relations)} |" for (first, second), relations in TABLE.items()]
    assert printed[2:] == rows


def test_has_a_row_for_every_pair_but_two_tokens() -> None:
    """There is one Authorization header."""
    pairs = {pair for pair in combinations(EVERY_KIND, 2) if not set(pair) <= set(TOKENS)}
    assert set(TABLE) == pairs


@pytest.mark.parametrize(("first", "second"), TABLE)
class TestPair:
    def test_pair_of_two_users_is_a_conflict(self, first: str, second: str) -> None:
        assert choose([ProvenCredential(second, BOB), ProvenCredential(first, ALICE)]).conflict == (first, second)
        assert choose([ProvenCredential(second, None), ProvenCredential(first, None)]).conflict == (first, second)

    @pytest.mark.parametrize("relation", [SAME_USER, BOUND, OBTAINED, CLIENT, NOBODY])
    def test_pair_is_accepted_by_a_relation_of_its_row(self, first: str, second: str, relation: str) -> None:
        ties = frozenset({relation} & {BOUND, OBTAINED, CLIENT})
        stronger = ProvenCredential(first, ALICE, ties)
        weaker = ProvenCredential(second, ALICE if relation == SAME_USER else BOB, is_nobodys=relation == NOBODY)
        choice = choose([weaker, stronger])
        if relation in TABLE[first, second]:
            assert choice == Choice(stronger, relation if second == CERTIFICATE else "")
        else:
            assert choice.conflict == (first, second)


class TestChoice:
    def test_choice_of_nothing_is_nobody(self) -> None:
        assert choose([None, None]) == Choice()
        assert not choose([]).certificate_is_the_callers

    def test_choice_is_the_strongest_that_the_view_takes(self) -> None:
        token, session, certificate = (
            ProvenCredential(BEARER, ALICE, frozenset({BOUND})),
            ProvenCredential(SESSION, ALICE, frozenset({BOUND})),
            ProvenCredential(CERTIFICATE, BOB),
        )
        everything = [certificate, session, token]
        assert choose(everything) == Choice(token, BOUND)
        assert choose(everything, (SESSION, CERTIFICATE)) == Choice(session, BOUND)
        assert choose(everything, (CERTIFICATE,)).conflict == (BEARER, CERTIFICATE)
        assert choose([certificate], ()) == Choice()

    def test_choice_by_a_certificate_of_nobody_may_have_what_is_bound_to_it(self) -> None:
        """A plain Django view under a certificate that acts by itself, beside its token."""
        certificate = ProvenCredential(CERTIFICATE, None, is_nobodys=True)
        token = ProvenCredential(BEARER, ALICE, frozenset({BOUND}))
        assert choose([token, certificate], (CERTIFICATE,)) == Choice(certificate)

    @pytest.mark.parametrize(
        ("ties", "owner", "is_nobodys", "signs", "vouches"),
        [
            ({BOUND}, BOB, False, True, True),
            ((), ALICE, False, True, False),
            ({OBTAINED}, BOB, False, False, False),
            ({CLIENT}, BOB, False, False, False),
            ((), None, True, False, False),
        ],
    )
    def test_choice_says_whether_the_certificate_is_the_callers(
        self, ties: set[str], owner: str | None, is_nobodys: bool, signs: bool, vouches: bool
    ) -> None:
        kind = SESSION if BOUND in ties else DPOP
        stronger = ProvenCredential(kind, ALICE, frozenset(ties))
        choice = choose([stronger, ProvenCredential(CERTIFICATE, owner, is_nobodys=is_nobodys)])
        assert choice.conflict is None
        assert (choice.certificate_is_the_callers, choice.certificate_vouches) == (signs, vouches)

    def test_choice_of_a_certificate_alone_is_its_own(self) -> None:
        assert choose([ProvenCredential(CERTIFICATE, None, is_nobodys=True)]).certificate_vouches
        assert not choose([ProvenCredential(OTHER, ALICE)]).certificate_vouches
