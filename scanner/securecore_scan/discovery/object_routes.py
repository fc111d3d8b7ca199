"""Finds the routes of single objects and of single accounts in the OpenAPI document. Sends nothing."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from securecore_scan.client.operations import Operation
from securecore_scan.client.target import Target
from securecore_scan.discovery import bodies
from securecore_scan.plan import AccountRoute, Call, ObjectRoute

_IDS = ("id", "uuid", "pk", "slug", "key", "name")
ACCOUNTS = {
    "user",
    "users",
    "account",
    "accounts",
    "customer",
    "customers",
    "profile",
    "profiles",
    "member",
    "members",
}
#: Objects of other categories, or ones that a parameter addresses by something secret.
_NO_OBJECT = {"session", "sessions", "token", "tokens", "oauth", "auth", "reset", "verify", "confirm", "activate"}
_PARAMETER = re.compile(r"\{[^}]*\}")


def with_authorization(call: Call) -> Call:
    return dataclasses.replace(call, headers={**call.headers, "Authorization": "{authorization}"})


def below(target: Target, collection: str, parameters: int = 1) -> list[Operation]:
    """Return the operations on single objects of a collection, such as ``GET /notes/{id}`` and ``/notes/{id}/text``."""
    return [
        one
        for one in target.operations
        if one.parameters == parameters and _parent(one.path) == collection.rstrip("/") and not one.words & _NO_OBJECT
    ]


def object_route(target: Target, create: Call, field: str, **around: Any) -> ObjectRoute | None:
    """Return the routes of the objects that ``create`` makes, or None if the document has none."""
    names = {"within": around.get("within"), "parent_id": around.get("parent_id", "id")}
    collection = around.get("collection", create.path)
    found = below(target, collection, 1 + bool(names["within"]))
    reads = sorted((_numbered(one.path) for one in found if one.method == "GET"), key=len)
    listing = next((one.path for one in target.operations if (one.method, one.path) == ("GET", collection)), None)
    if not found or not (reads or listing):
        return None
    deletes = [one for one in found if one.method == "DELETE" and one.path.rstrip("/").endswith("}")]
    if listing is not None and names["within"]:
        reads = [*reads, create.path]
    return ObjectRoute(
        create,
        reads[0] if reads else str(listing),
        field,
        more=tuple(reads[1:]),
        change=tuple(_call(one) for one in found if one.method in ("PUT", "PATCH")),
        delete=_call(deletes[0]) if deletes else None,
        **names,
    )


def id_field(parameter: str, document: Any) -> str | None:
    """Return the field with the id in a response, by the name of the parameter in the path."""
    if not isinstance(document, dict):
        return None
    for name in (parameter, *_IDS):
        if isinstance(document.get(name), str | int):
            return name
    inner = {name: value for name, value in document.items() if isinstance(value, dict)}
    return next((f"{name}.{field}" for name, value in inner.items() if (field := id_field(parameter, value))), None)


def parameter_of(path: str) -> str:
    """Return the name of the last parameter of a path."""
    return str((_PARAMETER.findall(path) or ["{}"])[-1]).strip("{}")


def within_an_account(target: Target) -> list[Operation]:
    """Return the operations that create an object below an account, such as ``POST /users/{id}/orders``."""
    return [
        one
        for one in target.operations
        if one.method == "POST" and _is_account(one) and not one.path.endswith("}") and below(target, one.path, 2)
    ]


def account_route(target: Target, objects: tuple[ObjectRoute, ...] = ()) -> AccountRoute | None:
    """Return the routes of single accounts, such as ``PUT /users/{id}/email``, or None.

    The lists of ``objects`` below an account are left out.
    """
    lists = {_PARAMETER.sub("{}", path) for route in objects if route.is_in_own_account for path in _reads(route)}
    found = [one for one in target.operations if _is_account(one) and _PARAMETER.sub("{}", one.path) not in lists]
    if not found:
        return None
    collection = min((_parent(one.path) for one in found), key=len)
    found = [one for one in found if _parent(one.path) == collection]
    parameter = parameter_of(found[0].path)
    known = (bodies.credential(parameter) or "").strip("{}")
    listed = any((one.method, one.path.rstrip("/")) == ("GET", collection) for one in target.operations)
    deletes = [one for one in found if one.method == "DELETE"]
    return AccountRoute(
        known if known in ("username", "email") else parameter,
        read=tuple(_numbered(one.path) for one in found if one.method == "GET"),
        change=tuple(_call(one) for one in found if one.method in ("PUT", "PATCH")),
        delete=_call(deletes[0]) if deletes else None,
        listed=collection if listed else None,
    )


def unreached(target: Target) -> Iterator[Operation]:
    """Yield the operations on single objects that no route of the plan reaches.

    A route that the document declares open is no secret, unless the document declares no route as secured.
    """
    declares = any(one.is_secured for one in target.operations)
    plan, account = target.plan, target.plan.account_route
    reached = {path for route in plan.object for path in _reads(route)}
    reached |= {call.path for route in plan.object for call in (*route.change, route.delete) if call}
    if account is not None:
        reached |= {*account.read, *(call.path for call in (*account.change, account.delete) if call)}
    shapes = {_PARAMETER.sub("{}", path) for path in reached}
    for one in target.operations:
        is_object = one.has_parameters and one.method in ("GET", "PUT", "PATCH", "DELETE")
        if declares and not one.is_secured:
            continue
        # Administrative routes are functions, and attacked as such (SC-BFLA).
        if is_object and not one.words & (_NO_OBJECT | {"admin"}) and _PARAMETER.sub("{}", one.path) not in shapes:
            yield one


def _reads(route: ObjectRoute) -> tuple[str, ...]:
    return (route.read, *route.more)


def _is_account(operation: Operation) -> bool:
    last = _parent(operation.path).rstrip("/").split("/")
    words = {word for part in last for word in re.findall(r"[a-z]+", part.lower())}
    return operation.parameters == 1 and bool(words & ACCOUNTS) and not operation.words & (_NO_OBJECT - {"auth"})


def _parent(path: str) -> str:
    """Return the path before its last parameter, such as ``/notes`` of ``/notes/{id}/text``."""
    return path.rpartition("/{")[0].rstrip("/") if "/{" in path else ""


def _numbered(path: str) -> str:
    """Return the path with ``{id}`` for its last parameter, and ``{parent}`` for the one before."""
    names = _PARAMETER.findall(path)
    if len(names) == 2:
        path = path.replace(names[0], "{parent}", 1)
    return path.replace(names[-1], "{id}") if names else path


def _call(operation: Operation) -> Call:
    call = bodies.call(operation)
    if operation.method == "DELETE" and not call.json and not call.form:
        call = dataclasses.replace(call, json=None)  # some servers refuse a DELETE with a body
    return with_authorization(dataclasses.replace(call, path=_numbered(call.path)))
