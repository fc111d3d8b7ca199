"""The catalogue of sabotages fits the tree. ``make sabotage`` checks that a test notices each."""

from __future__ import annotations

import pytest

from tests.support.tree import ROOT
from tools.sabotage.__main__ import judge
from tools.sabotage.catalogue import CATALOGUE, Sabotage


def test_every_sabotage_fits_the_tree() -> None:
    """One test, since nine hundred tests of 4 ms would cost as much again in pytest itself."""
    faults = {sabotage.name: sabotage.fault() for sabotage in CATALOGUE}
    assert not {name: fault for name, fault in faults.items() if fault}
    assert not [sabotage.name for sabotage in CATALOGUE if sabotage.replace == sabotage.by]
    tests = {sabotage.name: ROOT / sabotage.test.partition("::")[0] for sabotage in CATALOGUE}
    assert not [name for name, test in tests.items() if not test.exists()]


def entry(*, replace: str, by: str, within: str) -> Sabotage:
    return Sabotage(name="", promise="", test="", replace=replace, by=by, within=within)


def test_a_change_that_is_no_python_does_not_fit() -> None:
    cut = entry(replace="return any(matches)", by="return any(", within="proxy._is_proxy_secret")
    assert "no Python" in cut.fault()


def test_white_space_around_the_replaced_text_stays() -> None:
    removal = entry(replace="\n    b()\n", by="", within="a")
    assert removal._changed("if a:\n    b()\n    c()\n") == "if a:\n    \n    c()\n"


def test_names_are_unique() -> None:
    assert len({sabotage.name for sabotage in CATALOGUE}) == len(CATALOGUE)


@pytest.mark.parametrize(
    ("code", "closing", "noticed"),
    [
        (1, "1 failed in 0.1s", True),
        (1, "1 failed, 3 passed in 0.1s", True),
        (0, "1 passed in 0.1s", False),
        (1, "1 error in 0.1s", False),
        (1, "1 failed, 1 error in 0.1s", False),
        (4, "no tests ran in 0.1s", False),
        (-1, "", False),
    ],
)
def test_only_a_failed_assertion_counts_as_noticed(code: int, closing: str, noticed: bool) -> None:
    assert judge(code, f"something\n{closing}\n")[0] is noticed
