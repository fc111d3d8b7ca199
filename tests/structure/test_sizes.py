"""Limits for the length of functions and files. Documentation and comments are not counted."""

from __future__ import annotations

import ast
import functools

from tests.support.tree import relative, sources

FILE_LINES = 200
TEST_FILE_LINES = 400  # a list of cases, read one at a time; one file for each module under test
FUNCTION_LINES = 40


def code_lines(text: str, nodes: list[ast.AST]) -> set[int]:
    """Return the numbers of the lines that hold code: no comment, no blank line, no docstring."""
    lines = {number for number, line in enumerate(text.split("\n"), 1) if line.strip() and line.lstrip()[0] != "#"}
    docstrings: set[int] = set()
    for node in nodes:
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)):
            lines.update(range(node.lineno, (node.end_lineno or 0) + 1))  # a text may have blank lines
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and is_text(body[0]):
            docstrings.update(range(body[0].lineno, body[0].end_lineno + 1))
    return lines - docstrings


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def sizes(text: str) -> tuple[int, dict[str, int]]:
    """Return the number of lines of code in a file, and in each of its functions by line and name."""
    nodes = list(ast.walk(ast.parse(text)))
    lines = code_lines(text, nodes)
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    spans = {f"{node.lineno} {node.name}": range(node.lineno, (node.end_lineno or 0) + 1) for node in functions}
    return len(lines), {name: len(lines.intersection(span)) for name, span in spans.items()}


@functools.cache
def sizes_of_all() -> dict[str, tuple[int, dict[str, int]]]:
    return {relative(path): sizes(path.read_text()) for path in sources()}


def test_files_have_one_subject() -> None:
    whole = {path: size for path, (size, _) in sizes_of_all().items()}
    limits = {path: TEST_FILE_LINES if "/test_" in path else FILE_LINES for path in whole}
    too_large = {path: size for path, size in whole.items() if size > limits[path]}
    assert not too_large, "find the second subject and give it a file of its own"


def test_functions_are_one_sentence() -> None:
    functions = {f"{path}:{name}": size for path, (_, of) in sizes_of_all().items() for name, size in of.items()}
    too_long = {name: size for name, size in functions.items() if size > FUNCTION_LINES}
    assert not too_long, "say it in smaller words"


def test_only_code_counts() -> None:
    text = '"""Doc."""\n\n# comment\ndef f():\n    """Doc\n    more."""\n    return """a\n    b"""\n'
    assert sizes(text) == (3, {"4 f": 3})
