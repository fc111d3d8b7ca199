"""The picture of the layers is drawn from the contracts, and up to date."""

from __future__ import annotations

import tomllib
from xml.etree import ElementTree

import pytest

from tests.support.tree import ROOT
from tools import architecture

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def test_picture_shows_the_tree_as_it_is() -> None:
    is_current = architecture.PICTURE.read_text() == architecture.picture()
    assert is_current, "the layers or a docstring changed: python -m tools.architecture"


def test_picture_has_a_box_for_every_module_of_the_contracts() -> None:
    drawn = {
        element.text for element in ElementTree.parse(architecture.PICTURE).iter() if element.get("class") == "name"
    }
    layers = [layer for contract in CONTRACTS if contract["type"] == "layers" for layer in contract["layers"]]
    named = {name for layer in layers for name in architecture.modules_of(layer)}
    assert named
    assert {str(name).rstrip("/") for name in drawn} == named


@pytest.mark.parametrize(
    ("layer", "modules"),
    [("http", ["http"]), ("a | b", ["a", "b"]), ("a : b | (c)", ["a", "b", "c"])],
)
def test_every_spelling_of_a_layer_is_read(layer: str, modules: list[str]) -> None:
    assert architecture.modules_of(layer) == modules


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        ("Claim a row. More follows.", "Claim a row"),
        ("Two lines that\nmake one sentence.\n\nAnother paragraph.", "Two lines that make one sentence"),
        ("Use ``RFC 9421`` here:\n\n    code", "Use RFC 9421 here"),
        ("", ""),
    ],
)
def test_first_sentence_is_read_without_markup(docstring: str, sentence: str) -> None:
    assert architecture.first_sentence(f'"""{docstring}"""\n') == sentence
