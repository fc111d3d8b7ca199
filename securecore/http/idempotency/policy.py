"""``Policy``: how one view treats idempotency keys, and how the fingerprint of a request is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl
from uuid import UUID

from django.http.request import RawPostDataException

from securecore import digests, idempotency, observe
from securecore.durations import check_seconds
from securecore.errors import IdempotencyKeyMissing, Misuse
from securecore.http.authorization.caller import caller_of
from securecore.http.edge.request_body import body_digest
from securecore.http.request import SAFE_METHODS, AnyRequest, django_request, state_of

#: The parts of a request in the default fingerprint. Two requests that differ in one part have different fingerprints.
WHOLE_REQUEST = ("method", "path", "query", "content_type", "body")

Fingerprint = tuple[str, ...] | Callable[[AnyRequest], str | bytes]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How a view treats ``Idempotency-Key``. Raises ``Misuse`` for an impossible value, for example ``lease=-1``."""

    #: True: a request without a key is refused (400). False: such a request runs without protection.
    required: bool = True
    #: Seconds for which the response is repeated; a day if None.
    retention: float | None = None
    #: True: a twin waits for the first request (at most LOCK_TIMEOUT) and gets its response. False: a twin gets a 409
    #: at once.
    wait: bool = True
    #: Whether a response with this status is stored. A response that is not stored rolls its effects back and leaves
    #: the key free.
    stores: Callable[[int], bool] = idempotency.is_final
    #: The largest stored body, in bytes; 64 KiB if None.
    max_body: int | None = None
    #: The parts of the request in the fingerprint: some of ``WHOLE_REQUEST``, or a function of the request.
    fingerprint: Fingerprint = WHOLE_REQUEST
    #: Seconds that the view may take, for effects outside the database, for example a call to a payment service. Such
    #: an effect happens at least once, see docs/idempotency.md.
    lease: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.fingerprint, tuple) and not set(self.fingerprint) <= set(WHOLE_REQUEST):
            raise Misuse(f"fingerprint may name {', '.join(WHOLE_REQUEST)}, or be a function of the request.")
        for name in ("retention", "lease"):
            if getattr(self, name) is not None:
                check_seconds(f"@idempotent({name}=)", getattr(self, name))
        if self.max_body is not None and (type(self.max_body) is not int or self.max_body <= 0):
            raise Misuse(f"@idempotent(max_body={self.max_body!r}): bytes, greater than zero, for example 65536.")

    def applies_to(self, request: AnyRequest) -> bool:
        """Return whether ``request`` runs under a key: the method is unsafe, and a key is present or required."""
        if request.method in SAFE_METHODS or "Idempotency-Key" in request.headers:
            return request.method not in SAFE_METHODS
        return self.required and not self._lets_pass(request)

    def _lets_pass(self, request: AnyRequest) -> bool:
        """Return whether a request without a key passes because the protection only observes; record it once."""
        state, missing = state_of(django_request(request)), IdempotencyKeyMissing
        if not state.missing_key_is_noted:
            code, reason = missing.code, missing.title
            state.missing_key_is_noted = observe.lets_pass("idempotency-keys", code=code, reason=reason)
        return state.missing_key_is_noted

    def names_of(self, request: AnyRequest) -> tuple[UUID, bytes]:
        """Return the record id of the request's key, and the fingerprint of the request.

        The record id depends on the caller, the method and the route: two callers may use the same key. Raises the
        refusals of ``parse_key``, and ``AuthenticationRequired``.
        """
        key = idempotency.parse_key(request.headers.get("Idempotency-Key"))
        match = request.resolver_match
        route = match.route if match else request.path
        caller = caller_of(request).require_user()
        record = digests.record_id("idempotency", caller, str(request.method), route, key)
        return record, idempotency.fingerprint_of(self._parts(request))

    def _parts(self, request: AnyRequest) -> Iterator[str | bytes]:
        if not isinstance(self.fingerprint, tuple):
            yield self.fingerprint(request)
            return
        for name in self.fingerprint:
            yield name
            yield from _READ[name](request)


def _query(request: AnyRequest) -> list[str]:
    """Return the parts of the query, sorted by name.

    The order of the names does not count. The order of the values of one name counts: ``?sort=a&sort=b`` is another
    request than ``?sort=b&sort=a``.

    The query is decoded as latin-1, one character for each byte. ``request.GET`` would turn ``%ff`` and ``%fe`` into
    the same replacement character.
    """
    _ = request.GET  # Django refuses a query of too many fields (400)
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(request.META.get("QUERY_STRING", ""), keep_blank_values=True, encoding="latin-1"):
        values.setdefault(name, []).append(value)
    return [part for name in sorted(values) for part in (name, str(len(values[name])), *values[name])]


def _body(request: AnyRequest) -> list[bytes]:
    try:
        return [body_digest(django_request(request))]
    except RawPostDataException:
        raise Misuse(
            "A permission or a middleware read the body before the key was claimed. Put @idempotent on the class, "
            "which keeps the body for both, or give a fingerprint without the body."
        ) from None


_READ: dict[str, Callable[[AnyRequest], Sequence[str | bytes]]] = {
    "method": lambda request: [str(request.method)],
    "path": lambda request: [request.path],
    "query": _query,
    "content_type": lambda request: [request.META.get("CONTENT_TYPE", "")],
    "body": _body,
}
