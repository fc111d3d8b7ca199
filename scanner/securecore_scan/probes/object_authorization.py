"""Objects of another user, functions of administrators, and fields that only the service may set.

Two ordinary users are needed: the owner creates an object, and the attacker tries to reach it. An object that the
collection shows to everybody is no secret, and no finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from securecore_scan.checks import Check, Severity
from securecore_scan.client import objects, tokens
from securecore_scan.client.responses import is_refused, status_text
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Confidence, Inconclusive, NotApplicable, Outcome, Skipped, inconclusive, outcome_of

#: Words of the paths of administrative routes, and of routes that are so only if they show data of another user.
_ADMINISTRATIVE = {"admin", "administration", "superuser", "staff"}
_INTERNAL = {"debug", "internal", "management", "actuator"}
_ACTING = ("create", "delete", "remove", "reset", "drop", "init", "purge", "logout", "seed", "shutdown", "restart")
#: Names of fields that name the owner of an object.
_OWNERS = ("owner", "user", "username", "user_id", "owner_id", "userId", "ownerId", "author", "created_by")


def read_by_another(target: Target) -> Iterator[Outcome]:
    """Read the owner's object as the attacker. Works if he sees a field that the collection does not show him."""
    for route in objects.object_routes(target):
        _require_second(target)
        owned = objects.create(target, route, "owner")
        private = objects.fields_with(objects.fields_of(target, owned, "owner"), owned.canary)
        # Control: the attacker's own objects are readable to him, so a refusal concerns the owner's object.
        objects.fields_of(target, objects.create(target, route, "second"), "second")
        answer = objects.read(target, owned, "second")
        seen = objects.fields_with(answer.json(), owned.canary) if not is_refused(answer) else set()
        shared = objects.listed_fields(target, owned, "second")
        if seen and not seen - shared:
            yield inconclusive(owned.subject, f"the collection shows {', '.join(sorted(shared))} to every user")
            continue
        yield outcome_of(
            bool(seen),
            owned.subject,
            f"the owner's object as another user: {status_text(answer)}, shown: {', '.join(sorted(seen)) or 'nothing'} "
            f"of {', '.join(sorted(private))}",
        )


def changed_by_another(target: Target) -> Iterator[Outcome]:
    """Change the owner's object as the attacker. Works if the owner then reads the attacker's text."""
    for route in objects.object_routes(target):
        _require_second(target)
        owned = objects.create(target, route, "owner")
        allowed, text = objects.change(target, owned, "owner")
        if text not in objects.read(target, owned, "owner").text:
            raise Inconclusive(f"{route.change} answered {status_text(allowed)} to the owner and changed nothing")
        answer, text = objects.change(target, owned, "second")
        changed = text in objects.read(target, owned, "owner").text
        yield outcome_of(
            changed,
            str(route.change),
            f"as another user: {status_text(answer)}, the object {'changed' if changed else 'is the same'}",
        )


def administrative_function(target: Target) -> Iterator[Outcome]:
    """Call the GET routes of administrators as an ordinary user. Works if one is answered 2xx.

    A path with a word such as ``debug`` proves nothing: there the answer must name another user as well.
    """
    if not target.operations:
        raise Skipped("needs an OpenAPI document, which lists the administrative routes: --openapi")
    found = [one.path for one in target.operations if one.method == "GET" and not one.has_parameters]
    paths = [path for path in found if _words(path) & (_ADMINISTRATIVE | _INTERNAL) and not _acts(path)]
    if not paths:
        raise NotApplicable("the OpenAPI document lists no administrative route that reads")
    _require_second(target)
    for path in paths:
        answer = target.get(path, "second", target.credentials("second"))
        owner = target.name("owner")
        names_owner = bool(owner) and owner in answer.text
        worked = not is_refused(answer) and (names_owner or bool(_words(path) & _ADMINISTRATIVE))
        yield outcome_of(
            worked,
            f"GET {path}",
            f"as an ordinary user: {status_text(answer)}, {'with' if names_owner else 'without'} data of another user",
            confidence=Confidence.HIGH if names_owner else Confidence.MEDIUM,
        )


def object_for_another(target: Target) -> Iterator[Outcome]:
    """Create an object with the attacker's name in the field of the owner. Works if the service stores the name."""
    for route in objects.object_routes(target):
        _require_second(target)
        mine, theirs = (
            objects.fields_of(target, objects.create(target, route, role), role) for role in ("owner", "second")
        )
        fields = [name for name in _OWNERS if name in mine and mine[name] != theirs.get(name)]
        if not fields:
            yield inconclusive(f"POST {route.create.path}", "the object does not name its owner")
            continue
        planted = {name: theirs[name] for name in fields if name in theirs}
        created = objects.create(target, route, "owner", **planted)
        reader = next((role for role in ("owner", "second") if objects.read(target, created, role).is_success), "owner")
        stored = objects.fields_of(target, created, reader)
        taken = [name for name in fields if stored.get(name) == theirs.get(name)]
        yield outcome_of(
            bool(taken), str(route.create), f"the owner sends {', '.join(planted)}: stored {', '.join(taken) or 'none'}"
        )


def _require_second(target: Target) -> None:
    """Raises ``Skipped`` unless the attacker is a user of his own."""
    if target.transport.is_tls and target.transport.has_certificates:
        target.transport.identity("second")
    elif target.account("second") is None:
        raise Skipped("needs a second user: [accounts] second, or --second-login")
    if target.plan.tokens.use is None or target.authorizer is None:
        return
    if is_refused(target.get(tokens.protected_path(target), "second", target.credentials("second"))):
        raise Inconclusive("the second user's token is refused")


def _words(path: str) -> set[str]:
    return set("".join(character if character.isalnum() else " " for character in path.lower()).split())


def _acts(path: str) -> bool:
    return any(word.startswith(_ACTING) for word in _words(path))


_check = partial(Check, category="object-authorization", severity=Severity.HIGH)
CHECKS = (
    _check(
        "SC-BOLA-1",
        "Object read by another user",
        owasp="API1:2023",
        cwe=(639, 862),
        asvs=("8.2.2",),
        risk="Any user reads the data of all users, by trying ids.",
        remedy="Look objects up among those of the caller (WHERE owner = :caller), and answer 404 for all others.",
        securecore="@requires with a permission on the object; get_queryset filtered by request.user",
        run=read_by_another,
    ),
    _check(
        "SC-BOLA-2",
        "Object changed by another user",
        owasp="API1:2023",
        severity=Severity.CRITICAL,
        cwe=(639, 862),
        asvs=("8.2.2",),
        risk="Any user changes the data of all users, by trying ids.",
        remedy="Look objects up among those of the caller for PUT, PATCH and DELETE too, not for GET alone.",
        securecore="@requires with a permission on the object; get_queryset filtered by request.user",
        run=changed_by_another,
    ),
    _check(
        "SC-BFLA-1",
        "Administrative route for an ordinary user",
        owasp="API5:2023",
        cwe=(285, 862),
        asvs=("8.2.1",),
        risk="Any user reads a page for administrators.",
        remedy="Deny by default, and name the permission of each route beside it.",
        securecore="@requires(permission); HasGrant as the default permission class",
        run=administrative_function,
    ),
    _check(
        "SC-MASS-2",
        "Object created for another user",
        owasp="API3:2023",
        cwe=(915,),
        asvs=("15.3.3",),
        risk="A user acts in the name of another: the log and the object name the wrong one.",
        remedy="Take the owner from the authenticated caller, and never from the body.",
        securecore="serializer.save(owner=request.user)",
        run=object_for_another,
    ),
)
