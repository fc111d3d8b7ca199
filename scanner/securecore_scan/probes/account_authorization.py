"""Accounts that another user reads, changes or deletes, such as ``PUT /users/{id}/password``.

Each attack opens two accounts of its own, a victim's and an attacker's, because it may change or delete either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from securecore_scan.client import canary_accounts, tokens
from securecore_scan.client.canary_accounts import CanaryAccount
from securecore_scan.client.objects import fields_with
from securecore_scan.client.responses import status_text
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive, Outcome, outcome_of
from securecore_scan.plan import AccountRoute, Call

_REFUSALS = (401, 403, 404)
Attacks = Iterator[tuple[str, Callable[[], Outcome]]]


def reads(target: Target) -> Attacks:
    """Yield the attack on each GET route of an account. Works if it shows more than the list of accounts."""
    if route := target.plan.account_route:
        for path in route.read:
            yield f"GET {path}", partial(_read, target, route, path)


def changes(target: Target) -> Attacks:
    """Yield the attack on each route that changes an account. Works if the victim's account is changed."""
    if route := target.plan.account_route:
        for call in route.change:
            yield str(call), partial(_change, target, route, call)


def deletions(target: Target) -> Attacks:
    """Yield the attack on the route that deletes an account. Works if the victim's login is refused afterwards."""
    route = target.plan.account_route
    if route and route.delete is not None:
        yield str(route.delete), partial(_delete, target, route, route.delete)


def _read(target: Target, route: AccountRoute, path: str) -> Outcome:
    victim, attacker = (canary_accounts.open_account(target, route) for _ in range(2))
    private = _private(canary_accounts.shown(target, path, victim, victim), victim)
    if not private:
        raise Inconclusive(f"GET {path} shows its owner nothing private")
    seen = _private(canary_accounts.shown(target, path, victim, attacker), victim)
    listed = route.listed and canary_accounts.shown(target, route.listed, victim, attacker)
    shared = _private(listed, victim) if listed else set()
    if seen and not seen - shared:
        raise Inconclusive(f"the list of accounts shows {', '.join(sorted(shared))} to every user")
    said = f"the victim's account: another user sees {', '.join(sorted(seen)) or 'nothing'}"
    return outcome_of(bool(seen), f"GET {path}", f"{said}, the victim sees {', '.join(sorted(private))}")


def _private(document: Any, victim: CanaryAccount) -> set[str]:
    """Return the fields with the victim's address or name, without those that only repeat the id of the path."""
    found = fields_with(document, victim.name)
    return found - fields_with(_without(document, victim.id), "\x00id") if document is not None else set()


def _without(document: Any, number: str) -> Any:
    """Return the document with each value that is the id replaced by a mark."""
    if isinstance(document, list):
        return [_without(item, number) for item in document]
    if isinstance(document, dict):
        return {name: _without(value, number) for name, value in document.items()}
    return "\x00id" if document == number else document


def _change(target: Target, route: AccountRoute, call: Call) -> Outcome:
    victim, attacker = (canary_accounts.open_account(target, route) for _ in range(2))
    worked, answer = _changed(target, route, call, victim, victim)
    if not worked:
        raise Inconclusive(f"{call} answered {status_text(answer)} to the owner of the account and changed nothing")
    worked, answer = _changed(target, route, call, victim, attacker)
    said = f"as another user: {status_text(answer)}, the account {'changed' if worked else 'is the same'}"
    return outcome_of(worked, str(call), said)


def _changed(
    target: Target, route: AccountRoute, call: Call, victim: CanaryAccount, sender: CanaryAccount
) -> tuple[bool, Any]:
    """Change the victim's account as ``sender``. Return whether the victim's account changed, and the response."""
    new = canary_accounts.new_account()
    answer = canary_accounts.send(target, call, victim, sender, new)
    if "{password}" in repr(call):
        known = target.registered[victim.role].password
        canary_accounts.with_password(target, victim, new.password)
        if canary_accounts.logs_in(target, victim):
            return True, answer
        canary_accounts.with_password(target, victim, known)
        return False, answer
    paths = [*route.read, tokens.protected_path(target)]
    return any(new.username in str(canary_accounts.shown(target, path, victim, victim)) for path in paths), answer


def _delete(target: Target, route: AccountRoute, call: Call) -> Outcome:
    victim, attacker = (canary_accounts.open_account(target, route) for _ in range(2))
    new = canary_accounts.new_account()
    if not canary_accounts.logs_in(target, victim):
        raise Inconclusive("the new account cannot log in")
    answer = canary_accounts.send(target, call, victim, attacker, new)
    is_gone = not canary_accounts.logs_in(target, victim)
    if not is_gone and answer.status_code not in _REFUSALS:
        # Control: the owner's deletion works, so the refusal does not concern the form of the request.
        canary_accounts.send(target, call, victim, victim, new)
        if canary_accounts.logs_in(target, victim):
            raise Inconclusive(f"{call} answered {status_text(answer)}, and deletes nothing for its owner either")
    said = f"as another user: {status_text(answer)}, the account {'is gone' if is_gone else 'is still there'}"
    return outcome_of(is_gone, str(call), said)
