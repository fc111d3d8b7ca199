"""Makes request bodies from schemas and examples, with placeholders where the scanner has values of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from securecore_scan.client.operations import Operation
from securecore_scan.plan import Call

#: Names of fields, without separators and in lower case, and the placeholder of each.
_KNOWN = (
    (re.compile(r"e?mail(address)?"), "{email}"),
    (re.compile(r"user(name)?|login|identifier"), "{username}"),
    (re.compile(r"(pass(word|wd|code)?|pwd)\d?|(re|confirm|repeat)?(password)(confirm(ation)?|repeat)?"), "{password}"),
    (re.compile(r"refresh(token)?"), "{refresh}"),
)
#: Fields that name something which must exist or have a form, so that a canary would be refused.
_FIXED = re.compile(r"(id|type|kind|status|state|currency|country|language|locale|date|time|url|uri|phone|iban|color)$")
_FORMATS = {
    "date": "2027-01-31",
    "date-time": "2027-01-31T12:00:00Z",
    "email": "{email}",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://example.com",
}


def call(operation: Operation, *, keep_examples: bool = False) -> Call:
    """Return a request of the operation. ``keep_examples`` keeps the texts of examples in place of canaries."""
    body = _body(operation, keep_examples)
    headers = {name: value for name, value in _headers(operation) if value}
    if operation.is_form:
        form = {name: str(value) for name, value in body.items()} if isinstance(body, dict) else {}
        return Call(operation.path, operation.method, headers, form=form)
    return Call(operation.path, operation.method, headers, json=body)


def credential(name: str) -> str | None:
    """Return the placeholder of a field that holds a credential, such as ``{password}``, or None."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return next((placeholder for pattern, placeholder in _KNOWN if pattern.fullmatch(plain)), None)


def _body(operation: Operation, keep_examples: bool) -> Any:
    if not operation.schema and operation.example is None:
        return {}
    if isinstance(operation.example, dict):
        return {
            name: _value(name, {"example": value, **_mapping(operation.properties.get(name))}, keep_examples)
            for name, value in operation.example.items()
        }
    return _value("", operation.schema, keep_examples)


def _value(name: str, schema: Any, keep_examples: bool) -> Any:
    schema = _mapping(schema)
    for choice in ("anyOf", "oneOf"):
        options = [one for one in _list(schema.get(choice)) if isinstance(one, dict)]
        if options:
            return _value(name, {**options[0], **{k: v for k, v in schema.items() if k != choice}}, keep_examples)
    declared = _declared(schema)
    if "properties" in schema or declared == "object":
        return _object(schema, keep_examples)
    if (known := credential(name)) is not None:
        return known
    sample = _sample(schema)
    kind = declared or {int: "integer", float: "number", bool: "boolean", list: "array"}.get(type(sample))
    if kind in ("integer", "number"):
        return sample if sample is not None else schema.get("minimum", 1)
    if kind == "boolean":
        return bool(sample)
    if kind == "array":
        return sample if isinstance(sample, list) else [_value(name, schema.get("items"), keep_examples)]
    return _text(name, schema, sample, keep_examples)


def _object(schema: Mapping[str, Any], keep_examples: bool) -> dict[str, Any]:
    properties, example = _mapping(schema.get("properties")), _mapping(schema.get("example"))
    required = [name for name in _list(schema.get("required")) if isinstance(name, str)]
    body = {}
    for name in required or list(properties):
        inner = properties.get(name, {})
        if isinstance(inner, dict) and not inner.get("readOnly"):
            body[name] = _value(name, {"example": example[name], **inner} if name in example else inner, keep_examples)
    return body


def _text(name: str, schema: Mapping[str, Any], sample: Any, keep_examples: bool) -> Any:
    enum, pattern = schema.get("enum"), schema.get("pattern")
    if isinstance(enum, list) and enum:
        return enum[0]
    if isinstance(pattern, str) and (word := re.fullmatch(r"\^?(\w+)\$?", pattern)):
        return word[1]
    if (usual := _FORMATS.get(str(schema.get("format")))) is not None:
        return sample or usual
    fixed = keep_examples or pattern or _FIXED.search(name.lower())
    return sample if fixed and sample is not None else "{canary}"


def _declared(schema: Mapping[str, Any]) -> str | None:
    """Return the type of a schema. OpenAPI 3.1 allows a list, such as ``["integer", "null"]``."""
    kind = schema.get("type")
    return next(
        (one for one in (kind if isinstance(kind, list) else [kind]) if isinstance(one, str) and one != "null"), None
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _sample(schema: Mapping[str, Any]) -> Any:
    for key in ("example", "default"):
        if schema.get(key) is not None:
            return schema[key]
    return next(iter(_list(schema.get("examples"))), None)


def _headers(operation: Operation) -> list[tuple[str, str]]:
    words = {"idempotency": "{key}", "request-id": "{key}", "nonce": "{nonce}", "timestamp": "{timestamp}"}
    found = []
    for name, (example, is_required) in operation.headers.items():
        known = next((value for word, value in words.items() if word in name.lower()), None)
        if known or (is_required and name.lower() != "authorization"):
            found.append((name, known or example))
    return found
