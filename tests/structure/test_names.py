"""A module's name describes its content; `utils` describes nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.tree import relative, sources

NOTHING_SAID = {"util", "utils", "helper", "helpers", "misc"}
ROOMS_THAT_FILL_UP = NOTHING_SAID | {"common", "services", "managers", "shared"}


def words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}


def defined(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name


def test_files_are_named_by_what_they_hold() -> None:
    assert not [relative(path) for path in sources() if words(relative(path)) & ROOMS_THAT_FILL_UP]


def test_functions_and_classes_are_named_by_what_they_do() -> None:
    assert not [
        f"{relative(path)}:{name}" for path in sources() for name in defined(path) if words(name) & NOTHING_SAID
    ]


def test_words_are_found_in_every_spelling() -> None:
    assert words("DateHelpers") == words("date_helpers") == words("date/helpers") == {"date", "helpers"}
