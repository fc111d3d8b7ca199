"""Functions of administrators, called by an ordinary user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from urllib.parse import quote

import httpx

from securecore_scan.checks import Check, Severity
from securecore_scan.client import canary_accounts, objects
from securecore_scan.client.operations import Operation
from securecore_scan.client.request import build
from securecore_scan.client.responses import is_refused, status_text
from securecore_scan.client.target import Target
from securecore_scan.outcomes import (
    Confidence,
    Inconclusive,
    NotApplicable,
    Outcome,
    Skipped,
    inconclusive,
    outcome_of,
    skipped,
)
from securecore_scan.plan import Call
from securecore_scan.probes.object_authorization import require_second

#: Words of the paths of administrative routes, and of routes that are so only if they show data of another user.
_ADMINISTRATIVE = {"admin", "administration", "superuser", "staff"}
_INTERNAL = {"debug", "internal", "management", "actuator"}
_ACTING = ("create", "delete", "remove", "reset", "drop", "init", "purge", "logout", "seed", "shutdown", "restart")
#: Requests that one route needs at most.
_ROOM = 12
_PARAMETER = re.compile(r"\{[^}]*\}")


def administrative_read(target: Target) -> Iterator[Outcome]:
    """Call the GET routes of administrators as an ordinary user. Works if one is answered 2xx.

    A parameter is filled with the id of an account or of the owner's object. A path with a word such as ``debug``
    proves nothing: there the answer must name another user as well.
    """
    if not target.operations:
        raise Skipped("needs an OpenAPI document, which lists the administrative routes: --openapi")
    found = [one for one in _administrative(target, _ADMINISTRATIVE | _INTERNAL) if one.method == "GET"]
    if not found:
        raise NotApplicable("the OpenAPI document lists no administrative route that reads")
    require_second(target)
    for one in found:
        subject = f"GET {one.path}"
        if not target.transport.budget.has_room_for(_ROOM):
            yield skipped(subject, "the budget has no room for it: --budget, --max-requests")
            continue
        try:
            yield _read(target, one)
        except Inconclusive as reason:
            yield inconclusive(subject, str(reason))


def _read(target: Target, operation: Operation) -> Outcome:
    tried = ((_called(target, operation, number), name) for number, name in _existing(target, operation))
    found = next((one for one in tried if one[0].status_code != 404 or not operation.has_parameters), None)
    if found is None:
        raise Inconclusive("no id of an existing object is known: 404")
    answer, name = found
    names_another = bool(name) and name in answer.text
    worked = not is_refused(answer) and (names_another or bool(operation.words & _ADMINISTRATIVE))
    return outcome_of(
        worked,
        f"GET {operation.path}",
        f"as an ordinary user: {status_text(answer)}, {'with' if names_another else 'without'} data of another user",
        confidence=Confidence.HIGH if names_another else Confidence.MEDIUM,
    )


def _called(target: Target, operation: Operation, number: str) -> httpx.Response:
    path = _PARAMETER.sub(number, operation.path)
    return target.get(path, "second", target.credentials("second"))


def _existing(target: Target, operation: Operation) -> Iterator[tuple[str, str]]:
    """Yield ids for the one parameter of a path, each with the name of the user that the response may show."""
    owner = target.name("owner")
    if operation.parameters > 1:
        return
    if operation.has_parameters and target.plan.account_route is not None:
        victim = canary_accounts.open_account(target, target.plan.account_route)
        yield victim.id, victim.name
    yield quote(owner, safe=""), owner
    for route in target.plan.object if operation.has_parameters else ():
        yield objects.create(target, route, "owner").ids["id"], owner


def administrative_change(target: Target) -> Iterator[Outcome]:
    """Send the administrator's request of the plan as an ordinary user. Works if it is answered 2xx.

    The request restores a permission that the owner has, so an accepted one changes nothing.
    """
    plan = target.plan.authorization
    if plan is None:
        unsafe = [str(Call(one.path, one.method)) for one in _administrative(target, _ADMINISTRATIVE) if one.is_unsafe]
        if unsafe:
            raise Skipped(f"no scan calls {', '.join(unsafe)} unasked: [authorization] names a request to try")
        raise NotApplicable("neither the plan nor the OpenAPI document names a change by an administrator")
    require_second(target)
    request = target.as_role(build(plan.restore, target.values("second")), "second")
    answer = target.transport.send(request, "second")
    yield outcome_of(not is_refused(answer), str(plan.restore), f"as an ordinary user: {status_text(answer)}")


def _administrative(target: Target, words: set[str]) -> list[Operation]:
    return [one for one in target.operations if one.words & words and not _acts(one)]


def _acts(operation: Operation) -> bool:
    return operation.method == "GET" and any(word.startswith(_ACTING) for word in operation.words)


_check = partial(
    Check, category="object-authorization", severity=Severity.HIGH, owasp="API5:2023", cwe=(285, 862), asvs=("8.2.1",)
)
CHECKS = (
    _check(
        "SC-BFLA-1",
        "Administrative route for an ordinary user",
        risk="Any user reads a page for administrators.",
        remedy="Deny by default, and name the permission of each route beside it.",
        securecore="@requires(permission); HasGrant as the default permission class",
        run=administrative_read,
    ),
    _check(
        "SC-BFLA-2",
        "Administrative change by an ordinary user",
        severity=Severity.CRITICAL,
        risk="Any user gives himself the permissions of an administrator.",
        remedy="Deny by default, and name the permission of each route beside it, also for POST, PUT and DELETE.",
        securecore="@requires(permission); HasGrant as the default permission class",
        run=administrative_change,
    ),
)
