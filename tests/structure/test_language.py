"""Comments and docstrings name the actor: "what" and "who" make a reader look for the thing that is meant."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator

from tests.support.tree import sources

RIDDLE = re.compile(r"\b(?:what|who|whoever|whom|whose|whatever)\b", re.IGNORECASE)
WORD = re.compile(r"[A-Za-z']+")
#: Riddle words among 1,000 words of comments and docstrings. Well-kept code bases of this field have at most 1.
LIMIT = 3


def prose(text: str) -> Iterator[str]:
    """Yield each comment and docstring of a module."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def test_prose_names_the_actor() -> None:
    riddles = words = 0
    for path in sources():
        for part in prose(path.read_text()):
            riddles += len(RIDDLE.findall(part))
            words += len(WORD.findall(part))
    assert riddles * 1000 <= LIMIT * words, f"{riddles} riddle words of {words}"


def test_comments_and_docstrings_are_prose() -> None:
    text = '"""Module."""\nx = "what"  # who\n\ndef f():\n    """Whose."""\n'
    assert list(prose(text)) == ["# who", "Module.", "Whose."]
