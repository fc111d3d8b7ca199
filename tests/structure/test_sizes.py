"""Limits for the length of functions and files. Documentation and comments are not counted."""

from __future__ import annotations

import ast
import functools

from tests.support.tree import relative, sources

FILE_LINES = 200
TEST_FILE_LINES = 400  # a list of cases, read one at a time; one file for each module under test
FUNCTION_LINES = 40


@functools.cache
def code_lines(text: str) -> frozenset[int]:
    """Return the numbers of the lines that hold code: no comment, no blank line, no docstring."""
    lines = {number for number, line in enumerate(text.split("\n"), 1) if line.strip() and line.lstrip()[0] != "#"}
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)):
            lines.update(range(node.lineno, (node.end_lineno or 0) + 1))  # a text may have blank lines
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and is_text(body[0]):
            docstrings.update(range(body[0].lineno, body[0].end_lineno + 1))
    return frozenset(lines - docstrings)


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def test_files_have_one_subject() -> None:
    sizes = {relative(path): len(code_lines(path.read_text())) for path in sources()}
    limits = {path: TEST_FILE_LINES if "/test_" in path else FILE_LINES for path in sizes}
    too_large = {path: size for path, size in sizes.items() if size > limits[path]}
    assert not too_large, "find the second subject and give it a file of its own"


def test_functions_are_one_sentence() -> None:
    too_long = {}
    for path in sources():
        text = path.read_text()
        lines = code_lines(text)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = len(lines.intersection(range(node.lineno, (node.end_lineno or 0) + 1)))
                if size > FUNCTION_LINES:
                    too_long[f"{relative(path)}:{node.name}"] = size
    assert not too_long, "say it in smaller words"


def test_only_code_counts() -> None:
    text = '"""Doc."""\n\n# comment\ndef f():\n    """Doc\n    more."""\n    return """a\n    b"""\n'
    assert code_lines(text) == {4, 7, 8}
