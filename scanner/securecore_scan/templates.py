"""Fills placeholders such as ``{canary}`` into the requests of a plan."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

_PLACEHOLDER = re.compile(r"\{(env:\w+|[a-z_]+)\}")


def fill(template: Any, values: Mapping[str, str]) -> Any:
    """Return ``template`` with the values in every text of it, at any depth.

    Unknown words in braces stay: they belong to JSON or to the API itself.
    """
    if isinstance(template, str):
        return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)
    if isinstance(template, Mapping):
        return {key: fill(value, values) for key, value in template.items()}
    if isinstance(template, list | tuple):
        return [fill(value, values) for value in template]
    return template


def environment_names(template: Any) -> set[str]:
    """Return the NAME of every ``{env:NAME}`` in a text, a dataclass, a mapping or a list."""
    if isinstance(template, str):
        return {name.removeprefix("env:") for name in _PLACEHOLDER.findall(template) if name.startswith("env:")}
    if dataclasses.is_dataclass(template) and not isinstance(template, type):
        return set().union(*(environment_names(getattr(template, f.name)) for f in dataclasses.fields(template)))
    if isinstance(template, Mapping):
        return set().union(*map(environment_names, template.values()))
    if isinstance(template, list | tuple):
        return set().union(*map(environment_names, template))
    return set()
