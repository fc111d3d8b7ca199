"""The catalogue of sabotages fits the tree. ``make sabotage`` checks that a test notices each."""

from __future__ import annotations

import ast

import pytest

from tests.support.tree import ROOT
from tools.sabotage import definitions
from tools.sabotage.__main__ import judge
from tools.sabotage.catalogue import CATALOGUE, Sabotage


@pytest.mark.parametrize("sabotage", CATALOGUE, ids=lambda sabotage: sabotage.name)
def test_sabotage_fits_the_tree(sabotage: Sabotage) -> None:
    assert not sabotage.fault()
    assert sabotage.replace != sabotage.by
    assert (ROOT / sabotage.test.partition("::")[0]).exists()


@pytest.mark.parametrize("sabotage", CATALOGUE, ids=lambda sabotage: sabotage.name)
def test_sabotaged_file_is_python(sabotage: Sabotage) -> None:
    """A file that no longer compiles turns every test red, and proves nothing about the one that is named."""
    path = definitions.find(sabotage.within).file if sabotage.within else ROOT / sabotage.file
    if path.suffix == ".py":
        ast.parse(sabotage.changed(path.read_text()))


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
