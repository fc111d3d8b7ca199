"""Imports point down only: the contracts of pyproject.toml, and rules that contracts cannot express."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator

from tests.support.tree import ROOT, files, relative

#: The only code that uses a request.
EDGE = (
    "securecore/http/",
    "securecore/admin",
    "securecore/control_room/page.py",
    "securecore/testing/",
    "securecore/urls.py",
)


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_contracts_are_kept() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    # The client and the scanner of this tree, also where another checkout is installed.
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "client"), str(ROOT / "scanner")])}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_the_edge_sees_a_request() -> None:
    below = [path for path in files(".py", under="securecore") if not relative(path).startswith(EDGE)]
    seen = [(relative(path), name) for path in below for name in imported(ast.parse(path.read_text()))]
    assert not [(path, name) for path, name in seen if name.startswith("django.http")], (
        "features take plain values; what needs a request belongs into securecore/http/"
    )


def test_no_import_hides_a_cycle() -> None:
    hidden = [
        f"{relative(path)}:{function.lineno} {function.name}"
        for folder in ("securecore", "client", "scanner")
        for path in files(".py", under=folder)
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef)
        and function.name != "ready"  # AppConfig.ready() is there for imports
        and any(name.startswith("securecore") for name in imported(function))
    ]
    assert not hidden, "imports of the package stand at the top of a file"


def test_imported_names_are_complete() -> None:
    tree = ast.parse("import a.b\nfrom django import http\nfrom x.y import z")
    assert list(imported(tree)) == ["a.b", "django.http", "x.y.z"]
