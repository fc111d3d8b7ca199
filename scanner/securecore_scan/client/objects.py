"""Creates objects as one user, and reads, changes and deletes them as another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx

from securecore_scan.client.request import build
from securecore_scan.client.responses import json_field, json_or_none, require_json, status_text
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive, NotApplicable
from securecore_scan.plan import Call, ObjectRoute


@dataclass(frozen=True)
class OwnedObject:
    """An object with its creator's role, the ids in its path, and the text that is in no other object."""

    route: ObjectRoute
    role: str
    ids: Mapping[str, str]
    canary: str


def object_routes(target: Target) -> tuple[ObjectRoute, ...]:
    """Return the object routes. Raises ``NotApplicable`` if the OpenAPI document has none, else ``Skipped``."""
    if target.plan.object:
        return target.plan.object
    if target.operations and not target.unreached:
        raise NotApplicable("the OpenAPI document lists no route of a single object")
    raise target.lacking("no route was found that creates an object and reads it by its id: [[object]]")


def create(target: Target, route: ObjectRoute, role: str, **more: Any) -> OwnedObject:
    """Create an object as ``role``, with the fields ``more`` beside those of the plan. Raises ``Inconclusive``."""
    around = {}
    if route.within is not None:
        around["parent"], _ = _created(target, route.within, role, route.parent_id, {})
    call = route.create
    if more:
        call = replace(call, json={**(call.json or {}), **more})
    number, canary = _created(target, call, role, route.id, around)
    return OwnedObject(route, role, {**around, "id": number}, canary)


def send(target: Target, owned: OwnedObject, call: Call, role: str) -> tuple[httpx.Response, str]:
    """Send ``call`` to the object as ``role``. Return the response and the new text in the request."""
    values = target.values(role, **owned.ids)
    request = build(call, values)
    return target.transport.send(target.as_role(request, role), role), values["canary"]


def read(target: Target, owned: OwnedObject, role: str, path: str | None = None) -> httpx.Response:
    """Read the object as ``role``, by ``path`` or by the route that its creator reads it by."""
    return send(target, owned, Call(path or owned.route.read, "GET"), role)[0]


def fields_with(document: Any, text: str) -> set[str]:
    """Return the names of all fields with a text that contains ``text``, at any depth."""
    if isinstance(document, list):
        return set().union(*(fields_with(item, text) for item in document))
    if not isinstance(document, dict):
        return set()
    here = {str(name) for name, value in document.items() if isinstance(value, str) and text in value}
    return here.union(*(fields_with(value, text) for value in document.values()))


def listed_fields(target: Target, owned: OwnedObject, role: str) -> set[str]:
    """Return the fields of the object that the collection shows to ``role``. The list of an account is not public."""
    if owned.route.is_in_own_account:
        return set()
    answer, _ = send(target, owned, Call(owned.route.create.path, "GET"), role)
    return fields_with(json_or_none(answer), owned.canary) if answer.is_success else set()


def fields_of(target: Target, owned: OwnedObject, role: str) -> dict[str, Any]:
    """Return the object as its JSON says. Raises ``Inconclusive`` if its creator cannot read it."""
    document = require_json(read(target, owned, role))
    if owned.canary not in str(document):
        raise Inconclusive(f"GET {owned.route.read} does not show the object to its creator")
    return document if isinstance(document, dict) else {}


def _created(target: Target, call: Call, role: str, field: str, ids: Mapping[str, str]) -> tuple[str, str]:
    """Send ``call`` as ``role``, and return the id and the text of the new object."""
    values = target.values(role, **ids)
    request = build(call, values)
    answer = target.transport.send(target.as_role(request, role), role)
    if not answer.is_success:
        raise Inconclusive(f"{call} answered {status_text(answer)} to the {role}")
    sent = httpx.Response(200, content=request.content)
    found = next((i for one in (answer, sent) if (i := json_field(json_or_none(one), field)) is not None), None)
    if not isinstance(found, str | int):
        raise Inconclusive(f"{call} returned no {field!r}")
    return str(found), values["canary"]
