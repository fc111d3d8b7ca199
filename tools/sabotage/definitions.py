"""Find a function, class or constant of the project by its dotted name, in any file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.support.tree import ROOT, files

#: Folders with code that a sabotage may change.
SEARCHED = ("securecore", "client", "scanner", "demo_project", "tools")


@dataclass(frozen=True)
class Definition:
    """A definition with its dotted name, its file, and the offsets of its text."""

    name: str
    file: Path
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.file.read_text()[self.start : self.end]


class NotFound(Exception):
    """No definition has this name, or several have; the message lists them."""


def find(name: str) -> Definition:
    """Return the definition with a dotted name that ends in ``name``. Raises ``NotFound``.

    For example ``gate.enter`` is ``securecore.grants.gate.enter`` as long as no other ``gate`` has an ``enter``.
    """
    matches = [item for item in every_definition() if item.name == name or item.name.endswith(f".{name}")]
    if len(matches) != 1:
        candidates = ", ".join(item.name for item in matches) or "nothing"
        raise NotFound(f"{name} names {candidates}")
    return matches[0]


@cache
def every_definition() -> tuple[Definition, ...]:
    """Return each module, class, function, method and constant of ``SEARCHED``."""
    paths = [path for folder in SEARCHED for path in files(".py", under=folder)]
    return tuple(definition for path in paths for definition in _definitions(path))


def _definitions(path: Path) -> Iterator[Definition]:
    text = path.read_text()
    lines = text.splitlines(keepends=True)
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line))
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    yield Definition(module, path, 0, len(text))
    for name, first, last in _named(ast.parse(text), module):
        yield Definition(name, path, offsets[first - 1], offsets[last])


def _named(node: ast.AST, prefix: str) -> Iterator[tuple[str, int, int]]:
    """Yield the dotted name of each definition inside ``node``, with its first and last line."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}.{child.name}"
            first = min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])
            yield name, first, child.end_lineno or child.lineno
            yield from _named(child, name)
        elif isinstance(child, ast.Assign | ast.AnnAssign):
            targets = child.targets if isinstance(child, ast.Assign) else [child.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    yield f"{prefix}.{target.id}", child.lineno, child.end_lineno or child.lineno
        elif isinstance(child, ast.If | ast.Try | ast.With):
            yield from _named(child, prefix)
