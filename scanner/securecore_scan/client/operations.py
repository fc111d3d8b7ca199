"""The operations of an OpenAPI document, as far as an attack needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Operation:
    """One method of one path. ``schema`` describes the body, with every ``$ref`` resolved."""

    method: str
    path: str
    schema: Mapping[str, Any] = field(default_factory=dict)
    is_form: bool = False
    #: A complete body that the document gives as an example.
    example: Any = None
    #: Names of the headers, with an example, and whether each is required.
    headers: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    is_secured: bool = False

    @property
    def has_parameters(self) -> bool:
        return "{" in self.path

    @property
    def is_unsafe(self) -> bool:
        return self.method in ("POST", "PUT", "PATCH", "DELETE")

    @property
    def collection(self) -> str:
        """The path before the first parameter, such as ``/notes`` of ``/notes/{id}/comments``; else the path."""
        return self.path.partition("/{")[0].rstrip("/")

    @property
    def parameters(self) -> int:
        return self.path.count("{")

    @property
    def words(self) -> set[str]:
        """The words of the path in lower case, such as {"users", "v1", "login"}."""
        text = "".join(character if character.isalnum() else " " for character in self.path.lower())
        return set(text.split())

    @property
    def properties(self) -> Mapping[str, Any]:
        found = self.schema.get("properties")
        if isinstance(found, dict) and found:
            return found
        return {name: {} for name in self.example} if isinstance(self.example, dict) else {}
