"""Fields that only the service may set, sent with a registration or with a new object."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterator
from typing import Any

from securecore_scan.checks import Check, Severity
from securecore_scan.client import jws, objects, tokens
from securecore_scan.client.request import build
from securecore_scan.client.responses import json_or_none, require_success, status_text
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive, NotApplicable, Outcome, inconclusive, outcome_of, passed
from securecore_scan.plan import Account, ObjectRoute
from securecore_scan.probes.object_authorization import require_second

#: Fields that would make an account an administrator's, as common frameworks name them.
PLANTED: dict[str, Any] = {
    **dict.fromkeys(("admin", "is_admin", "isAdmin", "is_staff", "is_superuser", "superuser"), True),
    **dict.fromkeys(("role", "user_role"), "admin"),
    "roles": ["admin"],
}


#: Names of fields that name the owner of an object.
_OWNERS = ("owner", "user", "username", "user_id", "owner_id", "userId", "ownerId", "author", "created_by")


def registered_as_administrator(target: Target) -> Iterator[Outcome]:
    """Register with fields that make an administrator. Works if the account then shows one that others lack."""
    call = target.plan.registration
    if call is None or call.json is None:
        raise NotApplicable("the service has no open registration that takes JSON: [registration]")
    account = Account(f"scan{secrets.token_hex(5)}", f"Canary-{secrets.token_urlsafe(9)}-8")
    target.registered["planted"] = account
    planted = dataclasses.replace(call, json={**call.json, **PLANTED})
    values = target.values("anonymous", authorization="", **target.account_values("planted"))
    answer = target.transport.send(build(planted, values))
    if not answer.is_success:
        if answer.status_code >= 500:
            raise Inconclusive(f"{call} answered {status_text(answer)}")
        yield passed(str(call), f"a registration with unknown fields is refused: {status_text(answer)}")
        return
    usual, raised = (_shown(target, role) for role in ("owner", "planted"))
    taken = [name for name, value in PLANTED.items() if raised.get(name) == value != usual.get(name)]
    if not taken and not set(PLANTED) & set(raised):
        yield inconclusive(str(call), f"the account shows none of {', '.join(PLANTED)}")
        return
    yield outcome_of(bool(taken), str(call), f"taken from the registration: {', '.join(taken) or 'none'}")


def object_for_another(target: Target) -> Iterator[Outcome]:
    """Create an object with the attacker's name in the field of the owner. Works if the service stores the name."""
    for route in objects.object_routes(target):
        require_second(target)
        try:
            yield _for_another(target, route)
        except Inconclusive as reason:
            yield inconclusive(str(route.create), str(reason))


def _for_another(target: Target, route: ObjectRoute) -> Outcome:
    mine, theirs = (
        objects.fields_of(target, objects.create(target, route, role), role) for role in ("owner", "second")
    )
    fields = [name for name in _OWNERS if name in mine and mine[name] != theirs.get(name)]
    if not fields:
        raise Inconclusive("the object does not name its owner")
    planted = {name: theirs[name] for name in fields if name in theirs}
    created = objects.create(target, route, "owner", **planted)
    reader = next((role for role in ("owner", "second") if objects.read(target, created, role).is_success), "owner")
    stored = objects.fields_of(target, created, reader)
    taken = [name for name in fields if stored.get(name) == theirs.get(name)]
    said = f"the owner sends {', '.join(planted)}: stored {', '.join(taken) or 'none'}"
    return outcome_of(bool(taken), str(route.create), said)


def _shown(target: Target, role: str) -> dict[str, Any]:
    """Return the claims of the role's token, and the fields of the route that names the caller."""
    pair = tokens.request_tokens(target, role)
    shown = dict((jws.decode(pair.access) or ({}, {}))[1])
    answer = require_success(tokens.use(target, pair.access, scheme=pair.scheme))
    return shown | _flat(json_or_none(answer))


def _flat(document: Any) -> dict[str, Any]:
    """Return the fields of a document, and those of the objects in it, such as ``admin`` of ``data.admin``."""
    if not isinstance(document, dict):
        return {}
    inner: dict[str, Any] = {}
    for value in document.values():
        inner |= _flat(value)
    return inner | {name: value for name, value in document.items() if not isinstance(value, dict)}


CHECKS = (
    Check(
        "SC-MASS-1",
        "Registration as an administrator",
        category="object-authorization",
        severity=Severity.CRITICAL,
        owasp="API3:2023",
        cwe=(915,),
        asvs=("15.3.3",),
        risk="Anybody registers as an administrator, with one more field.",
        remedy="List the fields that a body may set, and set all others in the service.",
        securecore="serializers with explicit fields; grants are given by an administrator only",
        run=registered_as_administrator,
    ),
    Check(
        "SC-MASS-2",
        "Object created for another user",
        category="object-authorization",
        severity=Severity.HIGH,
        owasp="API3:2023",
        cwe=(915,),
        asvs=("15.3.3",),
        risk="A user acts in the name of another: the log and the object name the wrong one.",
        remedy="Take the owner from the authenticated caller, and never from the body.",
        securecore="serializer.save(owner=request.user)",
        run=object_for_another,
    ),
)
