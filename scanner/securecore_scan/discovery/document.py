"""Reads an OpenAPI document: fetches it from the service, an address or a file, and lists its operations.

Swagger 2 is read as well, because many services still publish it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from securecore_scan.client.operations import Operation
from securecore_scan.client.request import Request
from securecore_scan.client.responses import json_field, parsed_json
from securecore_scan.client.target import Target
from securecore_scan.discovery import yaml_document
from securecore_scan.plan import PlanError

_PLACES = (
    "/api/schema",
    "/openapi.json",
    "/api/openapi.json",
    "/schema",
    "/api/schema/",
    "/swagger.json",
    "/v3/api-docs",
    "/api/v1/openapi.json",
    "/schema/",
    "/api-docs",
    "/openapi.yaml",
    "/openapi.yml",
    "/swagger.yaml",
    "/api/openapi.yaml",
)
METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
#: Depth to which references are followed: a schema may refer to itself.
_DEPTH = 6
_Json = dict[str, Any]


def read(target: Target, where: str | None) -> _Json:
    """Return the OpenAPI document at ``where``: a URL, a path of the service or a file.

    Without ``where``, try common paths and return an empty document if none has one. Raises ``PlanError`` if ``where``
    holds no OpenAPI document.
    """
    if where is None:
        offered = next(filter(None, (_offered(target, path) for path in _PLACES)), None)
        if offered is None:
            target.announce("found no OpenAPI document at the usual paths, so it knows few routes: --openapi names one")
        return offered or {}
    if Path(where).is_file():
        try:
            found = _parsed(Path(where).read_text(encoding="utf-8"), where)
        except (OSError, ValueError) as error:
            raise PlanError(f"Cannot read the OpenAPI document {where}: {error}") from None
    else:
        found = _fetched(target, where) if where.startswith(("http://", "https://", "/")) else None
    if not isinstance(found, dict) or "paths" not in found:
        raise PlanError(f"No OpenAPI document at {where}.")
    return found


def operations(document: _Json, prefix: str) -> Iterator[Operation]:
    """Yield every operation. Paths lose ``prefix``, the path of the scan, because the transport adds it."""
    base, paths = _base(document), document.get("paths")
    for path, item in paths.items() if isinstance(paths, dict) else ():
        if not isinstance(item, dict):
            continue
        shared = item.get("parameters")
        for method, operation in item.items():
            if method.lower() in METHODS:
                found = operation if isinstance(operation, dict) else {}
                yield _operation(document, method.upper(), f"{base}{path}".removeprefix(prefix), found, shared)


def _offered(target: Target, path: str) -> _Json | None:
    """Return the document at a common path. Say so if one is there that cannot be read, and go on without it."""
    try:
        return _fetched(target, path)
    except PlanError as reason:
        target.announce(str(reason))
        return None


def _fetched(target: Target, path: str) -> _Json | None:
    accept = (("Accept", "application/vnd.oai.openapi+json, application/json, */*;q=0.5"),)
    try:
        answer = target.transport.send(Request("GET", path, accept))
    except httpx.HTTPError:
        return None
    try:
        found = _parsed(answer.text, path) if answer.is_success else None
    except ValueError:
        return None
    if not isinstance(found, dict) or "paths" not in found:
        return None
    target.routes["openapi"] = path
    return found


def _parsed(text: str, where: str) -> Any:
    """Return the values of a JSON or YAML document. Raises ``ValueError``, or ``PlanError`` for bad YAML."""
    try:
        return parsed_json(text)
    except ValueError:
        if not yaml_document.looks_like_openapi(text):
            raise
        return yaml_document.read(text, where)


def _base(document: _Json) -> str:
    servers = document.get("servers")
    first = servers[0] if isinstance(servers, list) and servers else None
    swagger = document.get("basePath")
    url = str(json_field(first, "url") or (swagger if isinstance(swagger, str) else ""))
    variables = json_field(first, "variables")
    for name in variables if isinstance(variables, dict) else ():
        url = url.replace(f"{{{name}}}", str(json_field(variables[name], "default")))
    try:
        return urlsplit(url).path.rstrip("/")
    except ValueError:  # such as "http://[address]"
        return ""


def _operation(document: _Json, method: str, path: str, found: _Json, shared: Any) -> Operation:
    parameters = [
        resolved
        for listed in (shared, found.get("parameters"))
        if isinstance(listed, list)
        for one in listed
        if isinstance(resolved := _resolve(document, one), dict)
    ]
    schema, is_form, example = _body(document, found, parameters)
    headers = {
        str(one.get("name")): (
            str(one.get("example") or json_field(one, "schema.example") or ""),
            one.get("required") is True,
        )
        for one in parameters
        if one.get("in") == "header"
    }
    secured = bool(found["security"] if "security" in found else document.get("security"))
    return Operation(method, path, schema, is_form, example, headers, secured)


def _body(document: _Json, found: _Json, parameters: list[_Json]) -> tuple[_Json, bool, Any]:
    """Return the schema of the body, whether the body is a form, and an example of the whole body."""
    for one in parameters:
        if one.get("in") == "body":  # Swagger 2
            return _object(_resolve(document, one.get("schema"))), False, None
    form = {str(one.get("name")): one for one in parameters if one.get("in") == "formData"}
    if form:
        required = [name for name, one in form.items() if one.get("required") is True]
        return {"properties": form, "required": required}, True, None
    body = _object(_resolve(document, found.get("requestBody")))
    contents = _object(body.get("content"))
    for media, is_form in (("application/json", False), ("application/x-www-form-urlencoded", True)):
        for name, content in contents.items():
            if str(name).startswith(media) and isinstance(content, dict):
                return _object(_resolve(document, content.get("schema"))), is_form, _example(document, content)
    return {}, False, None


def _example(document: _Json, content: _Json) -> Any:
    if "example" in content:
        return content["example"]
    examples = list(_object(content.get("examples")).values())
    return json_field(_resolve(document, examples[0]), "value") if examples else None


def _object(value: Any) -> _Json:
    return value if isinstance(value, dict) else {}


def _resolve(document: _Json, value: Any, depth: int = _DEPTH) -> Any:
    """Return ``value`` with its local references replaced, and the parts of ``allOf`` merged."""
    if depth == 0:
        return {}
    if isinstance(value, list):
        return [_resolve(document, item, depth) for item in value]
    if not isinstance(value, dict):
        return value
    reference = value.get("$ref")
    if isinstance(reference, str):
        return _resolve(document, _pointed(document, reference), depth - 1)
    resolved = {name: _resolve(document, item, depth - (name == "properties")) for name, item in value.items()}
    for part in resolved.pop("allOf", []) if isinstance(resolved.get("allOf"), list) else ():
        if isinstance(part, dict):
            properties = {**_object(part.get("properties")), **_object(resolved.get("properties"))}
            resolved = {**part, **resolved, "properties": properties}
    return resolved


def _pointed(document: _Json, reference: str) -> Any:
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found
