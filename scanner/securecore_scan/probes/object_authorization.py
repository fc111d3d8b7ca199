"""Objects and accounts of another user: read, changed and deleted by him, over every object route that is known.

Two ordinary users are needed: the owner creates an object, and the attacker tries to reach it. An object that the
collection shows to everybody is no secret, and no finding. Accounts are attacked in ``account_authorization``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import httpx

from securecore_scan.checks import Check, Severity
from securecore_scan.client import objects, tokens
from securecore_scan.client.responses import is_refused, parsed_json, require_success, status_text
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive, NotApplicable, Outcome, Skipped, inconclusive, outcome_of, skipped
from securecore_scan.plan import Call, ObjectRoute
from securecore_scan.probes import account_authorization

#: Requests that the attack on one route needs at most.
ROOM = 12
#: A refusal that concerns the caller or the object, and not the form of the request.
_REFUSALS = (401, 403, 404)

Attack = Callable[[], Outcome]


def read_by_another(target: Target) -> Iterator[Outcome]:
    """Read the owner's object as the attacker. Works if he sees a field that the collection does not show him."""
    attacks: list[tuple[str, Attack]] = [
        (f"GET {path}", partial(_read, target, route, path))
        for route in _routes(target)
        for path in (route.read, *route.more)
        if "{id}" in path or route.is_in_own_account
    ]
    yield from _each(target, [*attacks, *account_authorization.reads(target)], "GET")


def changed_by_another(target: Target) -> Iterator[Outcome]:
    """Change the owner's object as the attacker. Works if the owner then reads the attacker's text."""
    attacks: list[tuple[str, Attack]] = [
        (str(change), partial(_change, target, route, change)) for route in _routes(target) for change in route.change
    ]
    yield from _each(target, [*attacks, *account_authorization.changes(target)], "PUT", "PATCH")


def deleted_by_another(target: Target) -> Iterator[Outcome]:
    """Delete the owner's object as the attacker. Works if the owner then finds it no longer."""
    attacks: list[tuple[str, Attack]] = [
        (str(route.delete), partial(_delete, target, route, route.delete))
        for route in _routes(target)
        if route.delete is not None
    ]
    yield from _each(target, [*attacks, *account_authorization.deletions(target)], "DELETE")


def require_second(target: Target) -> None:
    """Raises ``Skipped`` unless the attacker is a user of his own."""
    if target.transport.is_tls and target.transport.has_certificates:
        target.transport.identity("second")
    elif target.account("second") is None:
        raise Skipped("needs a second user: [accounts] second, or --second-login")
    if target.plan.tokens.use is None or target.authorizer is None:
        return
    if is_refused(target.get(tokens.protected_path(target), "second", target.credentials("second"))):
        raise Inconclusive("the second user's token is refused")


def _routes(target: Target) -> tuple[ObjectRoute, ...]:
    """Return the object routes. Without any, the routes of accounts may be left to attack."""
    routes = target.plan.object if target.plan.account_route else objects.object_routes(target)
    require_second(target)
    return routes


def _each(target: Target, attacks: list[tuple[str, Attack]], *methods: str) -> Iterator[Outcome]:
    """Run each attack on its route, within the budget, and name the object routes that nothing reaches."""
    for subject, attack in attacks:
        if not target.transport.budget.has_room_for(ROOM):
            yield skipped(subject, "the budget has no room for it: --budget, --max-requests")
            continue
        try:
            yield attack()
        except Skipped as reason:
            yield skipped(subject, str(reason))
        except Inconclusive as reason:
            yield inconclusive(subject, str(reason))
    unreached = [f"{one.method} {one.path}" for one in target.unreached if one.method in methods]
    if unreached:
        yield skipped(", ".join(unreached), "no route was found that creates such an object: [[object]]")
    if not attacks and not unreached:
        raise NotApplicable(f"no object route with {' or '.join(methods)} is known")


def _read(target: Target, route: ObjectRoute, path: str) -> Outcome:
    subject = f"GET {path}"
    owned = objects.create(target, route, "owner")
    private = _shown(objects.read(target, owned, "owner", path), owned)
    if not private:
        raise Inconclusive(f"{subject} does not show the object to its creator")
    # Control: the attacker's own objects are readable to him, so a refusal concerns the owner's object.
    theirs = objects.create(target, route, "second")
    if not _shown(objects.read(target, theirs, "second", path), theirs):
        raise Inconclusive(f"{subject} does not show the attacker his own object")
    answer = objects.read(target, owned, "second", path)
    seen, shared = _shown(answer, owned), objects.listed_fields(target, owned, "second")
    if seen and not seen - shared:
        raise Inconclusive(f"the collection shows {', '.join(sorted(shared))} to every user")
    return outcome_of(
        bool(seen),
        subject,
        f"the owner's object as another user: {status_text(answer)}; he sees {', '.join(sorted(seen)) or 'nothing'}, "
        f"the owner sees {', '.join(sorted(private))}",
    )


def _shown(answer: httpx.Response, owned: objects.OwnedObject) -> set[str]:
    """Return the fields of a response that show the text of the object."""
    if is_refused(answer):
        return set()
    try:
        return objects.fields_with(parsed_json(answer.content), owned.canary)
    except ValueError:
        return {"the body"} if owned.canary in answer.text else set()


def _change(target: Target, route: ObjectRoute, call: Call) -> Outcome:
    owned = objects.create(target, route, "owner")
    allowed, text = objects.send(target, owned, call, "owner")
    if text not in _seen_by_owner(target, owned):
        raise Inconclusive(f"{call} answered {status_text(allowed)} to the owner and changed nothing")
    answer, text = objects.send(target, owned, call, "second")
    changed = text in _seen_by_owner(target, owned)
    said = f"as another user: {status_text(answer)}, the object {'changed' if changed else 'is the same'}"
    return outcome_of(changed, str(call), said)


def _delete(target: Target, route: ObjectRoute, call: Call) -> Outcome:
    owned = objects.create(target, route, "owner")
    if owned.canary not in _seen_by_owner(target, owned):
        raise Inconclusive(f"GET {route.read} does not show the object to its creator")
    answer, _ = objects.send(target, owned, call, "second")
    is_gone = owned.canary not in _seen_by_owner(target, owned)
    if not is_gone and answer.status_code not in _REFUSALS:
        # Control: the owner's deletion works, so the refusal does not concern the form of the request.
        objects.send(target, owned, call, "owner")
        if owned.canary in _seen_by_owner(target, owned):
            raise Inconclusive(f"{call} answered {status_text(answer)}, and deletes nothing for its creator either")
    said = f"as another user: {status_text(answer)}, the object {'is gone' if is_gone else 'is still there'}"
    return outcome_of(is_gone, str(call), said)


def _seen_by_owner(target: Target, owned: objects.OwnedObject) -> str:
    """Return the text of the object as its owner reads it, or an empty text if it is gone.

    Raises ``Inconclusive`` for other refusals: after 429 or 503 nothing is known of the object.
    """
    answer = objects.read(target, owned, "owner")
    if answer.status_code in (404, 410):
        return ""
    return require_success(answer).text


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
        "SC-BOLA-3",
        "Object deleted by another user",
        owasp="API1:2023",
        severity=Severity.CRITICAL,
        cwe=(639, 862),
        asvs=("8.2.2",),
        risk="Any user deletes the data of all users, by trying ids.",
        remedy="Look objects up among those of the caller for DELETE too. Only administrators delete accounts.",
        securecore="@requires with a permission on the object; get_queryset filtered by request.user",
        run=deleted_by_another,
    ),
)
