"""Object-level authorization over every object route of a document: collections, objects within objects, accounts."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.scanner.conftest import Scanned, scanned
from tests.scanner.service import Answer, serving

#: More collections than an attack on the first few would reach.
COLLECTIONS = ("albums", "books", "cars", "desks", "eggs", "films", "games", "hats")
BODY = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
ACCOUNT = {
    "type": "object",
    "required": ["username", "password"],
    "properties": {"username": {"type": "string"}, "password": {"type": "string"}, "email": {"type": "string"}},
}


def operation(schema: Any = None, *, is_secured: bool = True) -> dict[str, Any]:
    made: dict[str, Any] = {"responses": {}, "security": [{"bearer": []}] if is_secured else []}
    if schema is not None:
        made["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return made


def one_field(name: str) -> dict[str, Any]:
    return {"type": "object", "required": [name], "properties": {name: {"type": "string"}}}


def document() -> dict[str, Any]:
    paths: dict[str, Any] = {
        "/register": {"post": operation(ACCOUNT, is_secured=False)},
        "/login": {"post": operation({**ACCOUNT, "required": ["username", "password"]}, is_secured=False)},
        "/me": {"get": operation()},
        "/users": {"get": operation()},
        "/users/{user_id}": {"get": operation(), "delete": operation()},
        "/users/{user_id}/email": {"put": operation(one_field("email"))},
        "/users/{user_id}/password": {"put": operation(one_field("password"))},
        "/invoices/{number}": {"get": operation()},
        "/admin/users/{user_id}": {"get": operation()},
    }
    for name in COLLECTIONS:
        paths[f"/{name}"] = {"get": operation(), "post": operation(BODY)}
        paths[f"/{name}/{{number}}"] = {"get": operation(), "patch": operation(BODY), "delete": operation()}
    paths["/books/{number}/history"] = {"get": operation()}
    paths["/albums/{number}/songs"] = {"post": operation(BODY)}
    paths["/albums/{number}/songs/{song}"] = {"get": operation(), "put": operation(BODY), "delete": operation()}
    paths["/users/{user_id}/orders"] = {"get": operation(), "post": operation(BODY)}
    paths["/users/{user_id}/orders/{order_id}"] = {"get": operation(), "put": operation(BODY), "delete": operation()}
    return {"openapi": "3.1.0", "info": {}, "paths": paths}


@dataclass
class Shelf:
    """The service. ``open_to_all`` lists the routes that look at no owner, such as ``GET /books/{}``."""

    open_to_all: frozenset[str] = frozenset()
    users: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    objects: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    deleted: int = 0
    #: Ids that the registration returns are those of the registration, and not of the account.
    is_misleading: bool = False

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        sent = json.loads(body) if body else {}
        if path == "/openapi.json":
            return 200, {}, document()
        if path == "/register":
            number = str(1000 + len(self.users))
            self.users[number] = {"id": number, **sent}
            return 201, {}, {"id": "1000" if self.is_misleading else number}
        if path == "/login":
            user = next((one for one in self.users.values() if one["username"] == sent["username"]), None)
            if user is None or user["password"] != sent["password"]:
                return 401, {}, {}
            token = secrets.token_urlsafe(32)
            self.tokens[token] = user["id"]
            return 200, {}, {"token": token}
        caller = self.tokens.get(headers.get("authorization", "").removeprefix("Bearer "))
        if caller is None or caller not in self.users:
            return 401, {}, {}
        if path == "/me":
            shown = self.shown(caller)
            return 200, {}, {"username": shown["username"]} if self.is_misleading else shown
        if path == "/users":
            return 200, {}, [{"id": number} for number in self.users]
        shape = f"{method} {re.sub(r'/[0-9a-f]{6,}|/[0-9]{4}', '/{}', path)}"
        if shape.startswith("GET /admin") and shape not in self.open_to_all:
            return 403, {}, {}
        parts = path.removeprefix("/admin").strip("/").split("/")
        if parts[:1] == ["users"] and parts[2:3] == ["orders"]:
            is_caller_s = parts[1] == caller or shape in self.open_to_all
            return self.thing(method, parts[1], shape, parts[2:], sent) if is_caller_s else (404, {}, {})
        if parts[0] == "users":
            return self.account(caller, shape, parts[1], sent)
        return self.thing(method, caller, shape, parts, sent)

    def shown(self, number: str) -> dict[str, str]:
        return {name: value for name, value in self.users[number].items() if name != "password"}

    def account(self, caller: str, shape: str, number: str, sent: dict[str, str]) -> Answer:
        if number not in self.users or (number != caller and shape not in self.open_to_all):
            return 404, {}, {}
        if shape.startswith("DELETE"):
            del self.users[number]
            self.deleted += 1
            return 204, {}, b""
        self.users[number].update(sent)
        return 200, {}, self.shown(number)

    def thing(self, method: str, caller: str, shape: str, parts: list[str], sent: dict[str, str]) -> Answer:
        is_collection = len(parts) % 2 == 1 and parts[-1] != "history"
        kind = self.objects.setdefault(parts[2] if len(parts) > 2 and parts[2] == "songs" else parts[0], {})
        if is_collection and method == "POST":
            number = secrets.token_hex(8)
            kind[number] = {"id": number, "owner": caller, **sent}
            return 201, {}, {"id": number}
        if is_collection:
            return 200, {}, [one for one in kind.values() if one["owner"] == caller]
        number = parts[3] if len(parts) == 4 else parts[1]
        found = kind.get(number)
        if found is None or (found["owner"] != caller and shape not in self.open_to_all):
            return 404, {}, {}
        if method == "DELETE":
            del kind[number]
            return 204, {}, b""
        found.update(sent)
        return 200, {}, found


def scan(*open_to_all: str, more: tuple[str, ...] = ()) -> tuple[Scanned, Shelf]:
    shelf = Shelf(frozenset(open_to_all))
    with serving(shelf.answer) as service:
        return scanned(service.url, "--only", "SC-BOLA", "--only", "SC-BFLA", *more), shelf


def results(run: Scanned, verdict: str) -> set[tuple[str, str]]:
    return {(one["check"], one["subject"]) for one in run.results if one["verdict"] == verdict}


NESTED = {"/albums/{parent}/songs/{id}", "/users/{parent}/orders/{id}"}
EVERY_OBJECT = {f"/{name}/{{id}}" for name in COLLECTIONS} | NESTED
OTHER_READS = {"/books/{id}/history", "/users/{id}", "/users/{parent}/orders"}
READS = {("SC-BOLA-1", f"GET {path}") for path in EVERY_OBJECT | OTHER_READS}
CHANGES = {("SC-BOLA-2", f"PATCH /{name}/{{id}}") for name in COLLECTIONS} | {
    *(("SC-BOLA-2", f"PUT {path}") for path in NESTED),
    ("SC-BOLA-2", "PUT /users/{id}/email"),
    ("SC-BOLA-2", "PUT /users/{id}/password"),
}
DELETIONS = {("SC-BOLA-3", f"DELETE {path}") for path in {*EVERY_OBJECT, "/users/{id}"}}


@pytest.fixture(scope="module")
def sound() -> tuple[Scanned, Shelf]:
    return scan()


def test_sound_service_passes_on_every_object_route(sound: tuple[Scanned, Shelf]) -> None:
    run, shelf = sound
    functions = {("SC-BFLA-1", "GET /admin/users/{user_id}")}
    assert results(run, "PASS") == READS | CHANGES | DELETIONS | functions, run.text
    assert shelf.deleted == 0


def test_object_route_without_a_creating_route_is_named(sound: tuple[Scanned, Shelf]) -> None:
    assert results(sound[0], "SKIPPED") == {("SC-BOLA-1", "GET /invoices/{number}")}


@pytest.mark.parametrize(
    ("shape", "check", "subject"),
    [
        ("GET /hats/{}", "SC-BOLA-1", "GET /hats/{id}"),
        ("GET /books/{}/history", "SC-BOLA-1", "GET /books/{id}/history"),
        ("GET /albums/{}/songs/{}", "SC-BOLA-1", "GET /albums/{parent}/songs/{id}"),
        ("GET /users/{}", "SC-BOLA-1", "GET /users/{id}"),
        ("GET /users/{}/orders", "SC-BOLA-1", "GET /users/{parent}/orders"),
        ("GET /users/{}/orders/{}", "SC-BOLA-1", "GET /users/{parent}/orders/{id}"),
        ("PUT /users/{}/orders/{}", "SC-BOLA-2", "PUT /users/{parent}/orders/{id}"),
        ("DELETE /users/{}/orders/{}", "SC-BOLA-3", "DELETE /users/{parent}/orders/{id}"),
        ("PATCH /games/{}", "SC-BOLA-2", "PATCH /games/{id}"),
        ("PUT /users/{}/email", "SC-BOLA-2", "PUT /users/{id}/email"),
        ("PUT /users/{}/password", "SC-BOLA-2", "PUT /users/{id}/password"),
        ("DELETE /films/{}", "SC-BOLA-3", "DELETE /films/{id}"),
        ("DELETE /users/{}", "SC-BOLA-3", "DELETE /users/{id}"),
        ("GET /admin/users/{}", "SC-BFLA-1", "GET /admin/users/{user_id}"),
    ],
)
def test_route_that_looks_at_no_owner_is_the_only_finding(shape: str, check: str, subject: str) -> None:
    run, _ = scan(shape)
    assert results(run, "FAIL") == {(check, subject)}, run.text


def test_budget_that_ends_names_the_routes_that_were_left_out() -> None:
    run, _ = scan(more=("--max-requests", "200"))
    assert ("SC-BOLA-3", "DELETE /users/{id}") in results(run, "SKIPPED"), run.text
    assert run.content["stopped"] == ""
    assert run.content["requests"] <= 200


def test_id_without_a_name_beside_it_is_no_account_to_delete() -> None:
    """The first account is a stranger's, and its id is the only one that the service shows."""
    shelf = Shelf(frozenset({"DELETE /users/{}", "PUT /users/{}/password"}), is_misleading=True)
    shelf.users["1000"] = {"id": "1000", "username": "stranger", "password": "secret"}
    with serving(shelf.answer) as service:
        run = scanned(service.url, "--only", "SC-BOLA")
    assert shelf.users["1000"] == {"id": "1000", "username": "stranger", "password": "secret"}
    assert ("SC-BOLA-3", "DELETE /users/{id}") in results(run, "INCONCLUSIVE"), run.text


class Limited(Shelf):
    """Answers 429 to everything after an attempt to delete, as a limit of requests does."""

    limited_for: int = 0

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if self.limited_for > 0 and path != "/me":
            self.limited_for -= 1
            return 429, {}, {}
        answer = super().answer(method, path, headers, body)
        self.limited_for = int(method == "DELETE" and answer[0] == 404)
        return answer


def test_limit_of_requests_is_no_deletion() -> None:
    with serving(Limited().answer) as service:
        run = scanned(service.url, "--only", "SC-BOLA-3")
    assert results(run, "INCONCLUSIVE") == DELETIONS, run.text


def test_read_only_scan_creates_and_deletes_nothing() -> None:
    run, shelf = scan(more=("--read-only",))
    assert not shelf.users
    assert results(run, "PASS") == set()
