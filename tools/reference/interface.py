"""docs/reference/interface.md: the names for projects, with their import lines and signatures."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import securecore
from tools.reference.prose import WRITTEN, in_one_line, paragraph

HEAD = f"""# Python interface

{WRITTEN}
The names for projects; all other names may change in each release.
[Architecture](../architecture.md#names-for-projects) has the rule.
"""
#: Modules without ``__all__`` of which every function is for projects.
_WHOLE = ("securecore.clock", "securecore.http.caching", "securecore.revocation", "securecore.settings")
#: Classes that a setting names by its path.
_NAMED = ("securecore.http.authentication", "securecore.http.backends", "securecore.http.middleware")


def page() -> str:
    """Return the text of the page."""
    return "\n".join([HEAD, *("\n".join(_section(module)) for module in _modules())])


def _modules() -> Iterator[ModuleType]:
    for found in sorted(pkgutil.walk_packages(securecore.__path__, "securecore."), key=lambda found: found.name):
        if any(part in found.name for part in (".migrations", ".installation", ".testing.fixtures")):
            continue
        module = importlib.import_module(found.name)
        if hasattr(module, "__all__") or found.name in (*_WHOLE, *_NAMED):
            yield module


def _section(module: ModuleType) -> Iterator[str]:
    yield f"## {module.__name__}\n\n{paragraph(module)}\n"
    for name in _names(module):
        subject = getattr(module, name)
        if inspect.ismodule(subject):
            yield f"### {name}\n\n```python\nfrom {module.__name__} import {name}\n```\n\n{paragraph(subject)}\n"
            yield from _functions(subject)
            continue
        yield f"### {name}\n\n```python\nfrom {module.__name__} import {name}\n```\n"
        if signature := _signature(name, subject):
            yield f"```text\n{signature}```\n"
        if text := paragraph(subject):
            yield f"{text}\n"


def _functions(module: ModuleType) -> Iterator[str]:
    for name in _own(module, inspect.isfunction):
        function, short = getattr(module, name), module.__name__.rpartition(".")[2]
        yield f"```text\n{short}.{_signature(name, function)}```\n\n{paragraph(function)}\n"


def _names(module: ModuleType) -> list[str]:
    if module.__name__ in _NAMED:
        return _own(module, inspect.isclass)
    return sorted(getattr(module, "__all__", None) or _own(module, inspect.isfunction))


def _own(module: ModuleType, kind: Any) -> list[str]:
    return sorted(
        name
        for name, value in vars(module).items()
        if kind(value) and value.__module__ == module.__name__ and not name.startswith("_")
    )


def _signature(name: str, subject: Any) -> str:
    """Return the call with its parameters, one a line if the call is long; empty for a class without its own."""
    is_class = inspect.isclass(subject)
    if not callable(subject) or (is_class and not {"__init__", "__new__"} & set(vars(subject))):
        return ""
    target = subject.__init__ if is_class and "__init__" in vars(subject) else subject
    parameters = list(_parameters(inspect.signature(target), skip_self=is_class and target is not subject))
    returned = inspect.signature(target).return_annotation
    arrow = "" if is_class or returned is inspect.Parameter.empty else f" -> {returned}"
    call = f"{name}({', '.join(parameters)}){arrow}"
    if len(call) > 100:
        call = f"{name}(\n    " + ",\n    ".join(parameters) + f",\n){arrow}"
    return call + "\n"


def _parameters(signature: inspect.Signature, *, skip_self: bool) -> Iterator[str]:
    is_keyword = False
    for index, (name, parameter) in enumerate(signature.parameters.items()):
        if skip_self and index == 0:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not is_keyword:
            is_keyword = True
            yield "*"
        star = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}.get(parameter.kind.name, "")
        is_keyword = is_keyword or star == "*"
        typed = "" if parameter.annotation is parameter.empty else f": {parameter.annotation}"
        yield f"{star}{name}{typed}{_default(parameter)}"


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return ""
    text = in_one_line(repr(parameter.default))
    return " = ..." if " at 0x" in text or text.startswith("<") else f" = {text}"
