"""Finds routes that create something harmless, by creating it once, and the objects that they create.

A route is taken only if the document describes it, if its path sounds like no account, payment provider or
administration, and if the first request succeeds.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import httpx

from securecore_scan.client import effects
from securecore_scan.client.operations import Operation
from securecore_scan.client.request import build
from securecore_scan.client.responses import json_field, json_or_none
from securecore_scan.client.target import Target
from securecore_scan.discovery import bodies, object_routes
from securecore_scan.discovery.accounts import ACTING, acts
from securecore_scan.outcomes import Inconclusive
from securecore_scan.plan import Call, Count, Effect, ObjectRoute

#: Words of routes that no scan calls unasked.
_DANGEROUS = {
    *("login", "logout", "register", "signup", "token", "auth", "oauth", "password", "account", "accounts", "users"),
    *("user", "session", "sessions", "admin", "webhook", "webhooks", "email", "sms", "invite", "upload", "import"),
    *ACTING,
}
#: Canary routes that are attacked by replay: each of a dozen routes would be paid for with a hundred requests.
_TAKEN = 2
#: Requests that one collection needs here and in the attacks on its objects.
_ROOM = 40


def find(target: Target) -> tuple[tuple[Effect, ...], tuple[ObjectRoute, ...]]:
    """Return canary routes, and the object routes of every collection that a canary can be created in.

    Nothing is created if the plan names canary routes.
    """
    found: list[Effect] = []
    objects: list[ObjectRoute] = []
    creating = list(_creating(target))
    target.creates_nothing = bool(target.operations) and not creating
    unsafe = [one for one in target.operations if one.is_unsafe]
    accounts = _DANGEROUS - {"admin"}
    target.changes_accounts_only = target.creates_nothing and all(one.words & accounts for one in unsafe)
    if target.plan.effect or target.authorizer is None:
        return (), ()
    for operation in creating:
        if len(found) >= _TAKEN and not object_routes.below(target, operation.path):
            continue
        if not target.transport.budget.has_room_for(_ROOM):
            target.announce(f"leaves {operation.path} out: the budget has no room for it")
            continue
        effect, answer = _tried(target, operation)
        if effect is None or answer is None:
            continue
        found += [effect] if len(found) < _TAKEN else []
        objects += _objects(target, operation, effect.request, answer)
    return tuple(found), (*objects, *_objects_of_accounts(target))


def _tried(target: Target, operation: Operation) -> tuple[Effect | None, httpx.Response | None]:
    """Return the effect of a route and its response if one of two bodies is accepted."""
    for keep_examples in (False, True):
        call = object_routes.with_authorization(bodies.call(operation, keep_examples=keep_examples))
        target.announce(f"creates canary objects by {call}, and leaves them there")
        effect = Effect(operation.path.strip("/").replace("/", "-"), call, _count(target, operation))
        captured = effects.capture(target, effect)
        answer = target.transport.send(captured.request)
        if answer.is_success:
            return _with_working_count(target, effect, captured), answer
    return None, None


def _creating(target: Target) -> Iterator[Operation]:
    for one in target.operations:
        if one.method == "POST" and not one.has_parameters and not one.words & _DANGEROUS and not acts(one):
            yield one


def _count(target: Target, operation: Operation) -> Count | None:
    readable = any((one.method, one.path) == ("GET", operation.path) for one in target.operations)
    return Count(operation.path, containing="{canary}") if readable else None


def _with_working_count(target: Target, effect: Effect, captured: effects.CapturedRequest) -> Effect:
    """Return the effect without its count if the list does not show the new object."""
    try:
        if effect.count is not None and effects.count(target, captured, ()) > 0:
            return effect
    except Inconclusive:
        pass
    return dataclasses.replace(effect, count=None)


def _objects(target: Target, operation: Operation, call: Call, answer: httpx.Response) -> Iterator[ObjectRoute]:
    """Yield the object route of a collection, and those of the collections within each of its objects."""
    found = object_routes.below(target, operation.path)
    within = [one for one in target.operations if one.method == "POST" and _is_within(one, operation)]
    if not found and not within:
        return
    name = object_routes.parameter_of((found or within)[0].path)
    field = object_routes.id_field(name, json_or_none(answer)) or object_routes.id_field(name, call.json)
    if field is None:
        return
    if (route := object_routes.object_route(target, call, field)) is not None:
        yield route
    for one in within:
        inner = object_routes.with_authorization(bodies.call(one))
        inner = dataclasses.replace(inner, path=re.sub(r"\{[^}]*\}", "{parent}", inner.path))
        around = {"within": call, "parent_id": field, "collection": one.path}
        if (route := object_routes.object_route(target, inner, "id", **around)) is not None:
            yield route


def _objects_of_accounts(target: Target) -> Iterator[ObjectRoute]:
    """Yield the object routes below the caller's own account, such as ``/users/{user_id}/orders/{id}``.

    The route that names the caller must show the id of the account.
    """
    creating = [
        one
        for one in object_routes.within_an_account(target)
        if not (one.words - object_routes.ACCOUNTS) & _DANGEROUS and not acts(one)
    ]
    own = target.plan.tokens.use or target.plan.session.read
    if not creating or own is None or target.authorizer is None:
        return
    page = object_routes.with_authorization(Call(own, "GET"))
    shown = json_or_none(target.get(own, "owner", target.credentials("owner")))
    for one in creating:
        call = object_routes.with_authorization(bodies.call(one))
        call = dataclasses.replace(call, path=re.sub(r"\{[^}]*\}", "{parent}", call.path))
        field = object_routes.id_field(object_routes.parameter_of(one.path), shown)
        if field is None or not target.transport.budget.has_room_for(_ROOM):
            continue
        target.announce(f"creates canary objects by {call}, and leaves them there")
        request = build(call, target.values("owner", parent=str(json_field(shown, field))))
        answer = target.transport.send(target.as_role(request, "owner"), "owner")
        name = object_routes.parameter_of(object_routes.below(target, one.path, 2)[0].path)
        number = object_routes.id_field(name, json_or_none(answer)) or "id"
        around = {"within": page, "parent_id": field, "collection": one.path}
        if answer.is_success and (route := object_routes.object_route(target, call, number, **around)) is not None:
            yield route


def _is_within(inner: Operation, outer: Operation) -> bool:
    """Say whether ``inner`` creates something in an object of ``outer``, such as a comment on a note."""
    head, _, rest = inner.path.partition("/{")
    is_below = head == outer.path.rstrip("/") and "/" in rest and inner.parameters == 1
    return is_below and not inner.words & _DANGEROUS and not acts(inner)
