"""Finds routes that create something harmless, by creating it once, and the objects that they create.

A route is taken only if the document describes it, if its path sounds like no account, payment provider or
administration, and if the first request succeeds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import httpx

from securecore_scan.client import effects
from securecore_scan.client.operations import Operation
from securecore_scan.client.responses import json_or_none
from securecore_scan.client.target import Target
from securecore_scan.discovery import bodies
from securecore_scan.discovery.accounts import ACTING, acts
from securecore_scan.outcomes import Inconclusive
from securecore_scan.plan import Call, Count, Effect, ObjectRoute

#: Words of routes that no scan calls unasked.
_DANGEROUS = {
    *("login", "logout", "register", "signup", "token", "auth", "oauth", "password", "account", "accounts", "users"),
    *("user", "session", "sessions", "admin", "webhook", "webhooks", "email", "sms", "invite", "upload", "import"),
    *ACTING,
}
#: Routes that are tried, and routes that are taken.
_TRIED, _TAKEN = 6, 2
_IDS = ("id", "uuid", "pk", "slug", "key", "name")


def find(target: Target) -> tuple[tuple[Effect, ...], tuple[ObjectRoute, ...]]:
    """Return canary routes and object routes. Nothing is created if the plan names canary routes."""
    found: list[Effect] = []
    objects: list[ObjectRoute] = []
    creating = list(_creating(target))
    target.creates_nothing = bool(target.operations) and not creating
    unsafe = [one for one in target.operations if one.method in ("POST", "PUT", "PATCH", "DELETE")]
    accounts = _DANGEROUS - {"admin"}
    target.changes_accounts_only = target.creates_nothing and all(one.words & accounts for one in unsafe)
    if target.plan.effect or target.authorizer is None:
        return (), ()
    for operation in creating[:_TRIED]:
        if len(found) == _TAKEN:
            break
        for keep_examples in (False, True):
            call = _with_credentials(target, bodies.call(operation, keep_examples=keep_examples))
            target.announce(f"creates canary objects by {call}, until the end of the scan")
            effect = Effect(operation.path.strip("/").replace("/", "-"), call, _count(target, operation))
            captured = effects.capture(target, effect)
            answer = target.transport.send(captured.request)
            if answer.is_success:
                found.append(_with_working_count(target, effect, captured))
                objects += _objects(target, operation, call, answer)
                break
    return tuple(found), tuple(objects)


def _creating(target: Target) -> Iterator[Operation]:
    for one in target.operations:
        if one.method == "POST" and not one.has_parameters and not one.words & _DANGEROUS and not acts(one):
            yield one


def _with_credentials(target: Target, call: Call) -> Call:
    return dataclasses.replace(call, headers={**call.headers, "Authorization": "{authorization}"})


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
    below = [one for one in target.operations if _parent(one) == operation.path.rstrip("/")]
    readers = [one for one in below if one.method == "GET"]
    if not readers:
        return
    parameter = readers[0].path.rstrip("/").rpartition("/")[2].strip("{}")
    field = _id_field(parameter, json_or_none(answer)) or _id_field(parameter, call.json)
    if field is None:
        return
    changers = [one for one in below if one.method in ("PUT", "PATCH")]
    change = _with_credentials(target, bodies.call(changers[0])) if changers else None
    if change is not None:
        change = dataclasses.replace(change, path=_with_id(change.path))
    yield ObjectRoute(call, _with_id(readers[0].path), field, change)


def _parent(operation: Operation) -> str:
    """Return the path of the collection if the path ends with one parameter, else an empty text."""
    parent, _, last = operation.path.rstrip("/").rpartition("/")
    return parent if last.startswith("{") and "{" not in parent else ""


def _with_id(path: str) -> str:
    parent, _, _ = path.rstrip("/").rpartition("/")
    return f"{parent}/{{id}}{'/' if path.endswith('/') else ''}"


def _id_field(parameter: str, document: Any) -> str | None:
    if not isinstance(document, dict):
        return None
    for name in (parameter, *_IDS):
        if isinstance(document.get(name), str | int):
            return name
    inner = {name: value for name, value in document.items() if isinstance(value, dict)}
    return next((f"{name}.{field}" for name, value in inner.items() if (field := _id_field(parameter, value))), None)
