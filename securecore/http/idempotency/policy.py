"""What a view wants of its keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from django.http.request import RawPostDataException

from securecore import digests, idempotency
from securecore.durations import check_seconds
from securecore.errors import Misuse
from securecore.http.authorization.callers import principal

#: Requests that differ in one of these are different requests.
WHOLE_REQUEST = ("method", "path", "query", "content_type", "body")
SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}

Fingerprint = tuple[str, ...] | Callable[[Any], str | bytes]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How a view treats ``Idempotency-Key``. Raises ``Misuse`` for values that cannot be meant."""

    #: Whether a request without a key is refused (400); otherwise it runs without protection.
    required: bool = True
    #: Seconds for which the answer is repeated; IDEMPOTENCY_RETENTION if None.
    retention: float | None = None
    #: Whether a twin waits for the first (at most LOCK_TIMEOUT) and gets its answer, or gets 409 at once.
    wait: bool = True
    #: Which statuses are stored; what is not takes its effects back and leaves the key free.
    stores: Callable[[int], bool] = idempotency.is_final
    #: The most bytes a stored body may have; IDEMPOTENCY_MAX_BODY if None.
    max_body: int | None = None
    #: What makes two requests the same: some of ``WHOLE_REQUEST``, or a function of the request.
    fingerprint: Fingerprint = WHOLE_REQUEST
    #: Seconds the view may take, for effects outside the database: at least once there, see docs/idempotency.md.
    lease: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.fingerprint, tuple) and not set(self.fingerprint) <= set(WHOLE_REQUEST):
            raise Misuse(f"fingerprint may name {', '.join(WHOLE_REQUEST)}, or be a function of the request.")
        for name in ("retention", "lease"):
            if getattr(self, name) is not None:
                check_seconds(f"@idempotent({name}=)", getattr(self, name))
        if self.max_body is not None and (type(self.max_body) is not int or self.max_body <= 0):
            raise Misuse(f"@idempotent(max_body={self.max_body!r}): bytes, greater than zero, for example 65536.")

    def applies_to(self, request: Any) -> bool:
        """Say whether ``request`` runs under a key: an unsafe method with one, or one that must have one."""
        return request.method not in SAFE_METHODS and (self.required or "Idempotency-Key" in request.headers)

    def names_of(self, request: Any) -> tuple[UUID, bytes]:
        """Return the record id of the request's key, and its fingerprint. The key is the caller's, for this method and
        route. Raises the refusals of ``parse_key``, and ``AuthenticationRequired``.
        """
        key = idempotency.parse_key(request.headers.get("Idempotency-Key"))
        match = request.resolver_match
        route = match.route if match else request.path
        record = digests.record_id("idempotency", principal(request), request.method, route, key)
        return record, idempotency.fingerprint_of(self._parts(request))

    def _parts(self, request: Any) -> Iterator[str | bytes]:
        if not isinstance(self.fingerprint, tuple):
            yield self.fingerprint(request)
            return
        for name in self.fingerprint:
            yield name
            yield from _READ[name](request)


def _query(request: Any) -> list[str]:
    """Return the parts of the query. The order of names means nothing, the order of one name's values may:
    ``?sort=a&sort=b`` is another request than ``?sort=b&sort=a``.

    Each byte is one character here. ``request.GET`` would turn ``%ff`` and ``%fe`` into the same replacement character.
    """
    _ = request.GET  # Django refuses a query of too many fields (400)
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(request.META.get("QUERY_STRING", ""), keep_blank_values=True, encoding="latin-1"):
        found.setdefault(name, []).append(value)
    return [part for name in sorted(found) for part in (name, str(len(found[name])), *found[name])]


def _body(request: Any) -> list[bytes]:
    try:
        return [request.body]
    except RawPostDataException:
        raise Misuse(
            "The body was read before the key was claimed, by a permission or by middleware. Put @idempotent on the "
            "class, which keeps the body for both, or give a fingerprint that does without it."
        ) from None


_READ: dict[str, Callable[[Any], list[Any]]] = {
    "method": lambda request: [request.method],
    "path": lambda request: [request.path],
    "query": _query,
    "content_type": lambda request: [request.META.get("CONTENT_TYPE", "")],
    "body": _body,
}
