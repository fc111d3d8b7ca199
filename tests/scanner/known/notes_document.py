"""The OpenAPI document of the notes API, with examples, as a developer writes it by hand."""

from __future__ import annotations

from typing import Any


def document(*, weak: bool) -> dict[str, Any]:
    """Return the document. The mended service demands an idempotency key, and its document says so."""
    key = {"name": "Idempotency-Key", "in": "header", "required": True, "schema": {"type": "string"}}
    write = _operation("Write a note", body="#/components/schemas/Note", secured=True, answers="201")
    if not weak:
        write["parameters"] = [key]
    number = {"name": "note_id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "openapi": "3.0.1",
        "info": {"title": "Notes", "version": "1"},
        "servers": [{"url": "/"}],
        "paths": {
            "/users/v1/register": {
                "post": _operation("Register", body=_credentials("username", "password", "email"), answers="201")
            },
            "/users/v1/login": {"post": _operation("Log in", body=_credentials("username", "password"))},
            "/users/v1/logout": {"post": _operation("Log out", secured=True)},
            "/users/v1/_debug": {"get": _operation("All details of all users")},
            "/me": {"get": _operation("The caller", secured=True)},
            "/notes/v1": {"get": _operation("The titles of all notes", secured=True), "post": write},
            "/notes/v1/{note_id}": {
                "parameters": [number],
                "get": _operation("One note", secured=True),
                "put": _operation("Change a note", body=_text(), secured=True),
            },
        },
        "components": {
            "securitySchemes": {"bearerAuth": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "schemas": {
                "Note": {
                    "type": "object",
                    "required": ["title", "text"],
                    "properties": {
                        "title": {"type": "string", "example": "shopping"},
                        "text": {"type": "string", "example": "milk"},
                    },
                }
            },
        },
    }


def _operation(
    summary: str, *, body: str | dict[str, Any] | None = None, secured: bool = False, answers: str = "200"
) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": summary, "responses": {answers: {"description": "done"}}}
    if body is not None:
        schema = {"$ref": body} if isinstance(body, str) else body
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if secured:
        operation["security"] = [{"bearerAuth": []}]
    return operation


def _credentials(*names: str) -> dict[str, Any]:
    examples = {"username": "name1", "password": "pass1", "email": "user@tempmail.example"}
    return {"type": "object", "properties": {name: {"type": "string", "example": examples[name]} for name in names}}


def _text() -> dict[str, Any]:
    return {"type": "object", "properties": {"text": {"type": "string", "example": "milk and bread"}}}
