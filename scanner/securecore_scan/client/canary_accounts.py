"""Opens accounts for one attack, so that the attack may change or delete them."""

from __future__ import annotations

import dataclasses
import secrets
from dataclasses import dataclass
from typing import Any

import httpx

from securecore_scan.client import tokens
from securecore_scan.client.request import build
from securecore_scan.client.responses import is_refused, json_field, json_or_none, require_success
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive, Skipped
from securecore_scan.plan import Account, AccountRoute, Call

_IDS = ("id", "user_id", "userId", "uuid", "pk")


@dataclass(frozen=True)
class CanaryAccount:
    """An account that was opened for one attack: the role that sends requests as it, and its id in paths."""

    role: str
    name: str
    id: str


def new_account() -> Account:
    """Return a name, a password that usual rules accept, and an address, all of them new."""
    name = f"scan{secrets.token_hex(5)}"
    return Account(name, f"Canary-{secrets.token_urlsafe(9)}-7", f"{name}@example.com")


def open_account(target: Target, route: AccountRoute) -> CanaryAccount:
    """Register one more account. Raises ``Skipped`` without open registration, ``Inconclusive`` if it fails."""
    call = target.plan.registration
    if call is None or target.authorizer is None:
        raise Skipped("needs an open registration, because the attack changes and deletes accounts: [registration]")
    account, role = new_account(), f"canary {len(target.registered)}"
    target.registered[role] = account
    values = target.values("anonymous", authorization="", **target.account_values(role))
    answer = require_success(target.transport.send(build(call, values)))
    return CanaryAccount(role, account.username, _id(target, route, role, answer))


def logs_in(target: Target, account: CanaryAccount) -> bool:
    """Say whether the account's password opens it, by a new login. Raises ``Inconclusive`` for 429 and 5xx."""
    call = target.plan.tokens.request
    if call is None:
        raise Skipped("no login is known: [tokens] request")
    answer = target.transport.send(build(call, target.values(account.role, authorization="")))
    return not is_refused(answer) and tokens.token_in(answer) is not None


def send(target: Target, call: Call, victim: CanaryAccount, sender: CanaryAccount, new: Account) -> httpx.Response:
    """Send ``call`` to the victim's account as ``sender``, with the values of ``new`` in its body."""
    body = {"username": victim.name, "password": new.password, "email": new.email}
    target.redactor.add(new.password, "password")
    values = target.values(sender.role, id=victim.id, **body) | {"canary": f"scan-{new.username}"}
    return target.transport.send(target.as_role(build(call, values), sender.role))


def shown(target: Target, path: str, victim: CanaryAccount, reader: CanaryAccount) -> Any:
    """Return the JSON of ``path`` as ``reader`` reads it, or None."""
    call = Call(path, "GET")
    answer = target.transport.send(target.as_role(build(call, {"id": victim.id}), reader.role))
    return json_or_none(answer) if answer.is_success else None


def with_password(target: Target, account: CanaryAccount, password: str) -> None:
    """Use another password for the account from now on."""
    target.registered[account.role] = dataclasses.replace(target.registered[account.role], password=password)
    target.forget_authorizations()


def _id(target: Target, route: AccountRoute, role: str, answer: httpx.Response) -> str:
    """Return the id of the account, from a response that names the account as well.

    A number from any other response might be the id of something else, and the attack would delete the account of a
    stranger.
    """
    known = target.account_values(role)
    if route.id in known:
        return known[route.id]
    login = tokens.request_tokens(target, role)
    caller = tokens.use(target, login.access, scheme=login.scheme)
    for one in (caller, answer):
        document = json_or_none(one)
        for name in dict.fromkeys((route.id, *_IDS)) if known["username"] in one.text else ():
            for field in (name, f"user.{name}", f"data.{name}"):
                if isinstance(found := json_field(document, field), str | int):
                    return str(found)
    raise Inconclusive(f"neither {tokens.subject(target)} nor the registration shows name and id of an account")
