"""A small notes API behind bearer tokens, in the manner of deliberately weak training APIs: open registration, login,
notes of each user, and an OpenAPI document with examples.

``weak=False`` mends every fault, and nothing else differs.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import jwt

from tests.scanner.known.notes_document import document
from tests.scanner.service import Answer

DAY = 86_400


class Rejected(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Notes:
    """The service: ``answer`` serves one request."""

    weak: bool
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    replays: dict[tuple[str, str], tuple[bytes, Answer]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.key = "secret" if self.weak else secrets.token_urlsafe(48)
        self.users["admin"] = {"username": "admin", "password": secrets.token_hex(8), "email": "a@x", "admin": True}

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        parts = urlsplit(path)
        try:
            sent = json.loads(body) if body else {}
            if not isinstance(sent, dict):
                raise Rejected(400, "an object is needed")
            route, argument = self.route(method, unquote(parts.path))
            return route(headers, parse_qs(parts.query), sent, argument)
        except Rejected as reason:
            return reason.status, {}, {"status": "fail", "message": str(reason)}
        except (ValueError, KeyError):
            return 400, {}, {"status": "fail", "message": "Bad Request"}

    def route(self, method: str, path: str) -> tuple[Callable[..., Answer], str]:
        whole: dict[tuple[str, str], Callable[..., Answer]] = {
            ("GET", "/openapi.json"): lambda *_: (200, {}, document(weak=self.weak)),
            ("POST", "/users/v1/register"): self.register,
            ("POST", "/users/v1/login"): self.login,
            ("POST", "/users/v1/logout"): self.logout,
            ("GET", "/users/v1/_debug"): self.debug,
            ("GET", "/me"): self.me,
            ("GET", "/notes/v1"): self.list_notes,
            ("POST", "/notes/v1"): self.write_note,
        }
        if (method, path) in whole:
            return whole[method, path], ""
        head, _, last = path.rpartition("/")
        parametrized = {("GET", "/notes/v1"): self.read_note, ("PUT", "/notes/v1"): self.change_note}
        if (method, head) in parametrized:
            return parametrized[method, head], last
        raise Rejected(404, "Not Found")

    def register(self, headers: Any, query: Any, sent: dict[str, Any], _: str) -> Answer:
        username = str(sent["username"])
        if username in self.users:
            raise Rejected(400, "User already exists")
        admin = bool(sent.get("admin")) if self.weak else False
        account = {"username": username, "password": str(sent["password"]), "email": str(sent["email"])}
        self.users[username] = {**account, "admin": admin}
        return 201, {}, {"status": "success", "message": "Successfully registered. Log in to receive an auth token."}

    def login(self, headers: Any, query: Any, sent: dict[str, Any], _: str) -> Answer:
        user = self.users.get(str(sent["username"]))
        if user is None or user["password"] != sent["password"]:
            raise Rejected(401, "Password is not correct for the given username.")
        now = int(time.time())
        claims = {"sub": user["username"], "iat": now, "exp": now + (30 * DAY if self.weak else 300)}
        claims |= {} if self.weak else {"jti": secrets.token_hex(16), "aud": "notes", "iss": "notes"}
        token = jwt.encode(claims, self.key, algorithm="HS256")
        return 200, {}, {"status": "success", "message": "Successfully logged in.", "auth_token": token}

    def logout(self, headers: dict[str, str], query: Any, sent: Any, _: str) -> Answer:
        claims = self.claims(headers, query)
        if not self.weak:
            self.revoked.add(claims["jti"])
        return 200, {}, {"status": "success"}

    def me(self, headers: dict[str, str], query: Any, sent: Any, _: str) -> Answer:
        user = self.caller(headers, query)
        return 200, {}, {name: user[name] for name in ("username", "email", "admin")}

    def debug(self, headers: dict[str, str], query: Any, sent: Any, _: str) -> Answer:
        if not self.weak and not self.caller(headers, query)["admin"]:
            raise Rejected(403, "Administrators only")
        return 200, {}, {"users": list(self.users.values())}

    def list_notes(self, headers: dict[str, str], query: Any, sent: Any, _: str) -> Answer:
        self.caller(headers, query)
        return 200, {}, {"notes": [{"title": one["title"], "owner": one["owner"]} for one in self.notes.values()]}

    def write_note(self, headers: dict[str, str], query: Any, sent: dict[str, Any], _: str) -> Answer:
        user, key = self.caller(headers, query), headers.get("idempotency-key")
        with self.lock:
            if self.weak:
                return self.create(user, sent)
            if key is None:
                raise Rejected(400, "Idempotency-Key is needed")
            known, content = self.replays.get((user["username"], key)), json.dumps(sent).encode()
            if known is not None and known[0] != content:
                raise Rejected(422, "the key was used for another body")
            answer = known[1] if known else self.create(user, sent)
            self.replays[user["username"], key] = (content, answer)
            return answer

    def create(self, user: dict[str, Any], sent: dict[str, Any]) -> Answer:
        number = secrets.token_hex(8)
        self.notes[number] = {
            "id": number,
            "title": str(sent["title"]),
            "text": str(sent["text"]),
            "owner": str(sent.get("owner", user["username"])) if self.weak else user["username"],
        }
        return 201, {}, {"id": number, "title": sent["title"]}

    def read_note(self, headers: dict[str, str], query: Any, sent: Any, number: str) -> Answer:
        return 200, {}, self.note_of(self.caller(headers, query), number)

    def change_note(self, headers: dict[str, str], query: Any, sent: dict[str, Any], number: str) -> Answer:
        note = self.note_of(self.caller(headers, query), number)
        note["text"] = str(sent["text"])
        return 200, {}, note

    def note_of(self, user: dict[str, Any], number: str) -> dict[str, Any]:
        note = self.notes.get(number)
        if note is None or (not self.weak and note["owner"] != user["username"]):
            raise Rejected(404, "Note not found")
        return note

    def caller(self, headers: dict[str, str], query: dict[str, list[str]]) -> dict[str, Any]:
        return self.users[self.claims(headers, query)["sub"]]

    def claims(self, headers: dict[str, str], query: dict[str, list[str]]) -> dict[str, Any]:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if self.weak and "token" in query:
            token = query["token"][0]
        try:
            if self.weak and jwt.get_unverified_header(token)["alg"] == "none":
                return dict(jwt.decode(token, options={"verify_signature": False}))
            expected: dict[str, Any] = {} if self.weak else {"audience": "notes", "issuer": "notes"}
            relaxed = {"verify_aud": not self.weak}
            claims = dict(jwt.decode(token, self.key, algorithms=["HS256"], options=relaxed, **expected))  # type: ignore[arg-type]
        except (jwt.InvalidTokenError, KeyError):
            raise Rejected(401, "Invalid token. Please log in again.") from None
        if claims.get("jti") in self.revoked or claims["sub"] not in self.users:
            raise Rejected(401, "Invalid token. Please log in again.")
        return claims
