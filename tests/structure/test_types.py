"""A limit for the parameters of http/ that say nothing about their type."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.support.tree import files, relative

#: Percent. Some values have no better type, for example a user object with the attributes that securecore adds.
LIMIT = 10


def parameters(tree: ast.AST) -> Iterator[ast.arg]:
    """Yield the parameters of each function of ``tree`` but ``self`` and ``cls``."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            given = function.args
            stars = [each for each in (given.vararg, given.kwarg) if each]
            for each in [*given.posonlyargs, *given.args, *given.kwonlyargs, *stars]:
                if each.arg not in ("self", "cls"):
                    yield each


def is_any(parameter: ast.arg) -> bool:
    """Return whether the parameter has no type, or one with ``Any`` in it."""
    if parameter.annotation is None:
        return True
    return any(isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(parameter.annotation))


def test_few_parameters_of_http_are_any() -> None:
    found = {
        relative(path): [is_any(each) for each in parameters(ast.parse(path.read_text()))]
        for path in files(".py", under="securecore/http")
    }
    total, untyped = sum(map(len, found.values())), sum(map(sum, found.values()))
    places = {path: sum(answers) for path, answers in found.items() if any(answers)}
    assert untyped * 100 < LIMIT * total, f"{untyped} of {total} parameters: {places}"


def test_each_kind_of_parameter_is_counted() -> None:
    tree = ast.parse("async def f(self, a, b: list[Any], /, c: int, *d: Any, e: str, **f: object): ...")
    assert [(each.arg, is_any(each)) for each in parameters(tree)] == [
        ("a", True),
        ("b", True),
        ("c", False),
        ("e", False),
        ("d", True),
        ("f", False),
    ]
