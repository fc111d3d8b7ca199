"""Writes a plan as TOML, with each missing entry as a comment that says which checks need it and why they matter."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from securecore_scan.client.target import Target
from securecore_scan.plan import Accounts, Identities, Plan

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_MISSING = tomllib.loads(Path(__file__).with_name("missing.toml").read_text(encoding="utf-8"))["entry"]


def toml(target: Target) -> str:
    """Return the plan of a target, and the entries that are missing."""
    return "\n".join(_lines(target)) + "\n"


def missing(target: Target) -> Iterator[dict[str, str]]:
    """Yield each entry of missing.toml that the plan lacks."""
    for entry in _MISSING:
        if not _has(target, entry["name"]):
            yield entry


def _has(target: Target, name: str) -> bool:
    role = name.rpartition(".")[2]
    if name.startswith("identities."):
        return target.transport.has(role) or not target.transport.has_certificates
    if name.startswith("accounts."):
        return target.account(role) is not None or target.transport.has_certificates
    if name in ("memory", "application", "revocation") and not target.transport.is_tls:
        return True  # both need TLS
    if name == "privileges" and target.plan.session.login is None:
        return True
    if name == "tokens.revoke" and target.plan.session.logout is not None:
        return True
    if name == "tokens.refresh" and target.operations:
        return not any("refresh" in one.words for one in target.operations)
    if name == "effect.failing":
        keyed = [one for one in target.plan.effect if "{key}" in str(one.request.headers)]
        return all(one.failing for one in keyed)
    found: Any = target.plan
    for part in name.split("."):
        found = getattr(found, part)
    if name == "memory":
        return bool(found.url or found.prometheus or found.pid)
    return bool(found or (name == "tokens.signing_key" and target.plan.tokens.signing_secret))


def _lines(target: Target) -> Iterator[str]:
    plan = target.plan
    yield f"# The scanner's plan for {target.transport.origin}{target.transport.prefix}."
    yield "# Paths of files are relative to this folder. docs/scanner.md explains every entry."
    yield ""
    for known in dataclasses.fields(Plan):
        value = getattr(plan, known.name)
        if isinstance(value, str):
            yield f"{known.name} = {_value(value)}"
    for known in dataclasses.fields(Plan):
        yield from _table(known.name, getattr(plan, known.name))
    absent = list(missing(target))
    if absent:
        yield "\n# Missing. Each entry decides more checks:"
    for entry in absent:
        yield f"#\n# {entry['name']}: needed by {entry['checks']}, because {entry['because']}."
        yield from (f"#   {line}" for line in entry["example"].splitlines())


def _table(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, Identities | Accounts):
        entries = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        value = {role: _changed(one) for role, one in entries.items() if one is not None}
    elif isinstance(value, tuple):
        for item in value:
            yield f"\n[[{name}]]"
            yield from (f"{_key(key)} = {_value(one)}" for key, one in _changed(item).items())
        return
    elif dataclasses.is_dataclass(value):
        value = _changed(value)
    if isinstance(value, dict) and value:
        yield f"\n[{name}]"
        yield from (f"{_key(key)} = {_value(one)}" for key, one in value.items())


def _changed(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that differ from their defaults."""
    found = {}
    for known in dataclasses.fields(value):
        here = getattr(value, known.name)
        default = known.default_factory() if known.default_factory is not dataclasses.MISSING else known.default
        if here != default:
            found[known.name] = here
    return found


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name)


def _value(value: Any) -> str:
    if dataclasses.is_dataclass(value):
        value = _changed(value)
    if isinstance(value, dict):
        # TOML has no null, so a field without a value is left out.
        return f"{{ {', '.join(f'{_key(k)} = {_value(v)}' for k, v in value.items() if v is not None)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value if item is not None)}]"
    if isinstance(value, Path):
        return json.dumps(str(value.absolute()))
    # The escapes of JSON are those of TOML's basic strings; DEL is not escaped by JSON.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
