"""Reads a document in YAML, by the library PyYAML where it is installed.

The service chooses the text, so nothing but plain values is made of it, and an alias bomb is refused.
"""

from __future__ import annotations

import importlib.util
import json
import re
from typing import Any

from securecore_scan.plan import PlanError

#: Values of a document with its aliases written out. The document of a large public API has 300,000.
LARGEST = 2_000_000
_BOOLEAN = "tag:yaml.org,2002:bool"
_NOT_RESOLVED = (_BOOLEAN, "tag:yaml.org,2002:timestamp")
_OPENAPI = re.compile(r"^[\"']?(openapi|swagger)[\"']?\s*:", re.MULTILINE)


def looks_like_openapi(text: str) -> bool:
    """Say whether a text has the line that every OpenAPI document in YAML begins with."""
    return _OPENAPI.search(text[:10_000]) is not None


def read(text: str, where: str) -> Any:
    """Return the values of a YAML text. Raises ``PlanError``, which names ``where``."""
    if importlib.util.find_spec("yaml") is None:
        raise PlanError(f"The document at {where} is YAML: pip install 'securecore-scan[yaml]', or hand it in as JSON.")
    import yaml

    # The parser in C is some ten times faster, and not in every build.
    loader: Any = type("Loader", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {})
    # JSON has no dates: "2026-01-31" stays a text. OpenAPI is YAML 1.2, where "no" and "on" are texts too.
    loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag not in _NOT_RESOLVED]
        for first, known in loader.yaml_implicit_resolvers.items()
    }
    loader.add_implicit_resolver(_BOOLEAN, re.compile("true|True|TRUE|false|False|FALSE"), list("tTfF"))
    loader.construct_mapping = _named_by_texts
    try:
        found = yaml.load(text, loader)  # noqa: S506
        size = _size(found, {}, set())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PlanError(f"The document at {where} is no YAML: {' '.join(str(error).split())}") from None
    if size > LARGEST:
        raise PlanError(f"The document at {where} has more than {LARGEST:,} values: it repeats itself by aliases.")
    return found


def _named_by_texts(loader: Any, node: Any, deep: bool = False) -> dict[str, Any]:
    """Return the values of a mapping. Its names are texts, as in JSON: YAML reads the status ``200`` as a number."""
    found = super(type(loader), loader).construct_mapping(node, deep=deep)
    return {name if isinstance(name, str) else json.dumps(name, default=str): value for name, value in found.items()}


def _size(value: Any, sizes: dict[int, int], open_values: set[int]) -> int:
    """Return the number of values with every alias written out. An alias of a value within itself has no end."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) in open_values:
        return LARGEST + 1
    if id(value) not in sizes:
        open_values.add(id(value))
        items = value.values() if isinstance(value, dict) else value
        sizes[id(value)] = 1 + sum(_size(item, sizes, open_values) for item in items)
        open_values.remove(id(value))
    return sizes[id(value)]
