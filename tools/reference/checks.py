"""docs/reference/checks.md: each check with its message, its reason and its hint."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from securecore import checks
from securecore.checks import access, grants, tokens
from tools.reference.prose import WRITTEN, in_one_line

HEAD = f"""# Every check: finding, reason, remedy

{WRITTEN}
`manage.py check --deploy --database default` runs them all; [System checks](../checks.md) is the short list. `…` stands
for a name of your project. `securecore.E001` is raised when Django starts: its text names the setting.
"""


def page() -> str:
    """Return the text of the page."""
    database = (*tokens.DATABASE_CHECKS, *grants.DATABASE_CHECKS, *access.DATABASE_CHECKS)
    sections = dict(_section(check) for check in (*checks.EVERY_CHECK, *database))
    return "\n".join([HEAD, *(sections[key] for key in sorted(sections, key=lambda name: (name[1:], name)))])


def _section(check: Callable[..., Any]) -> tuple[str, str]:
    """Return the id of a check and its section."""
    found = _message(check)
    identifier = _text(next(word.value for word in found.keywords if word.arg == "id")).removeprefix("securecore.")
    hint = next(word.value for word in found.keywords if word.arg == "hint")
    why, names = in_one_line(inspect.getdoc(check) or "").removeprefix("Report "), vars(inspect.getmodule(check))
    finding = next((word.value for word in found.keywords if word.arg == "problem"), None) or found.args[0]
    lines = [f"## {identifier}", "", f"*Finding:* {_text(finding, names)}", ""]
    lines += [f"*Why:* {why[:1].upper()}{why[1:]}", ""] if why else []
    return identifier, "\n".join([*lines, f"*Mend:* {_text(hint, names)}", ""])


def _message(check: Callable[..., Any]) -> ast.Call:
    """Return the call that builds the message: in the check, or in the function beside it that the check calls."""
    module = inspect.getmodule(check)
    wanted = check.__name__.partition("_")[0].upper()
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(module)))):  # type: ignore[arg-type]
        if isinstance(node, ast.Call) and any(
            word.arg == "id" and _text(word.value) in (wanted, f"securecore.{wanted}") for word in node.keywords
        ):
            return node
    raise LookupError(f"{check.__name__} builds no message with id securecore.{wanted}")


def _text(node: ast.expr, names: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Return the text of a literal, with ``…`` for each value that only a project has."""
    if isinstance(node, ast.JoinedStr):
        return in_one_line("".join(_part(part, names) for part in node.values))
    return in_one_line(str(node.value)) if isinstance(node, ast.Constant) else "…"


def _part(node: ast.expr, names: Mapping[str, Any]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    name = node.value.id if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name) else ""
    return repr(names[name]) if isinstance(names.get(name), str) else "…"
