"""Creates objects as one user, and reads and changes them as another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from securecore_scan.client.request import build
from securecore_scan.client.responses import json_field, json_or_none, require_json, status_text
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive, NotApplicable, Skipped
from securecore_scan.plan import Call, ObjectRoute


@dataclass(frozen=True)
class OwnedObject:
    """An object with its creator's role, its id, and the text that is in no other object."""

    route: ObjectRoute
    role: str
    id: str
    canary: str

    @property
    def subject(self) -> str:
        return f"GET {self.route.read}"


def object_routes(target: Target) -> tuple[ObjectRoute, ...]:
    """Return the object routes. Raises ``NotApplicable`` if the OpenAPI document has none, else ``Skipped``."""
    if target.plan.object:
        return target.plan.object
    if target.operations and not any(one.method == "GET" and one.has_parameters for one in target.operations):
        raise NotApplicable("the OpenAPI document lists no route that reads a single object")
    raise Skipped("no route was found that creates an object and reads it by its id: [[object]]")


def create(target: Target, route: ObjectRoute, role: str, **more: Any) -> OwnedObject:
    """Create an object as ``role``, with the fields ``more`` beside those of the plan. Raises ``Inconclusive``."""
    values = target.values(role)
    call = route.create
    if more:
        call = Call(call.path, call.method, call.headers, json={**(call.json or {}), **more})
    request = build(call, values)
    answer = target.transport.send(request, role)
    if not answer.is_success:
        raise Inconclusive(f"{call} answered {status_text(answer)} to the {role}")
    sent = httpx.Response(200, content=request.content)
    found = next((i for one in (answer, sent) if (i := json_field(json_or_none(one), route.id)) is not None), None)
    if not isinstance(found, str | int):
        raise Inconclusive(f"{call} returned no {route.id!r}")
    return OwnedObject(route, role, str(found), values["canary"])


def read(target: Target, owned: OwnedObject, role: str) -> httpx.Response:
    """Read the object as ``role``."""
    request = build(Call(owned.route.read, "GET"), target.values(role, id=owned.id))
    return target.transport.send(request.with_headers(target.credentials(role)), role)


def change(target: Target, owned: OwnedObject, role: str) -> tuple[httpx.Response, str]:
    """Change the object as ``role``. Return the response and the new text."""
    if owned.route.change is None:
        raise NotApplicable("no route changes an object: [[object]] change")
    values = target.values(role, id=owned.id)
    return target.transport.send(build(owned.route.change, values), role), values["canary"]


def fields_with(document: Any, text: str) -> set[str]:
    """Return the names of all fields with a text that contains ``text``, at any depth."""
    if isinstance(document, list):
        return set().union(*(fields_with(item, text) for item in document))
    if not isinstance(document, dict):
        return set()
    here = {str(name) for name, value in document.items() if isinstance(value, str) and text in value}
    return here.union(*(fields_with(value, text) for value in document.values()))


def listed_fields(target: Target, owned: OwnedObject, role: str) -> set[str]:
    """Return the fields of the object that the collection shows to ``role``."""
    path = owned.route.create.path
    answer = target.get(path, role, target.credentials(role))
    return fields_with(json_or_none(answer), owned.canary) if answer.is_success else set()


def fields_of(target: Target, owned: OwnedObject, role: str) -> dict[str, Any]:
    """Return the object as its JSON says. Raises ``Inconclusive`` if its creator cannot read it."""
    document = require_json(read(target, owned, role))
    if owned.canary not in str(document):
        raise Inconclusive(f"{owned.subject} does not show the object to its creator")
    return document if isinstance(document, dict) else {}
