"""Reads a plan from TOML: each table becomes a dataclass of plan.py, each entry one of its fields."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from pathlib import Path
from typing import Any

from securecore_scan.plan import Plan, PlanError


def load(path: Path) -> Plan:
    """Return the plan in a file. Paths in the plan are relative to the folder of the file. Raises ``PlanError``."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError(f"Cannot read the plan {path}: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"{path} is not TOML: {error}") from None
    return typing.cast(Plan, _read(Plan, document, "the plan", path.absolute().parent))


def _read(kind: type[Any], value: Any, where: str, folder: Path) -> Any:
    """Return a dataclass made of a table, with every value checked against the annotated type of its field."""
    if not isinstance(value, dict):
        raise PlanError(f"{where} must be a table.")
    hints = typing.get_type_hints(kind)
    for name in value:
        if name not in hints:
            near = difflib.get_close_matches(name, hints, n=1)
            raise PlanError(f"{where} has no entry {name!r}{f'; did you mean {near[0]!r}?' if near else '.'}")
    for known in dataclasses.fields(kind):
        has_default = {known.default, known.default_factory} != {dataclasses.MISSING}
        if known.name not in value and not has_default:
            raise PlanError(f"{where} needs {known.name!r}.")
    return kind(**{name: _value(hints[name], item, f"{where}: {name}", folder) for name, item in value.items()})


def _value(hint: Any, value: Any, where: str, folder: Path) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        (hint,) = (found for found in inner if found is not type(None))
        return _value(hint, value, where, folder)
    if origin is tuple:
        if not isinstance(value, list):
            raise PlanError(f"{where} must be an array.")
        return tuple(_value(inner[0], item, where, folder) for item in value)
    if dataclasses.is_dataclass(hint):
        return _read(typing.cast(type[Any], hint), value, where, folder)
    if hint is Path and isinstance(value, str):
        return folder / value
    if origin is not None:
        expected: Any = dict
    else:
        expected = (int, float) if hint is float else hint
    if hint is not Any and (not isinstance(value, expected) or (isinstance(value, bool) and hint is not bool)):
        raise PlanError(f"{where} must be {_type_text(hint)}, not {type(value).__name__}.")
    return value


def _type_text(hint: Any) -> str:
    words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}
    return words.get(hint, "a table of texts")
