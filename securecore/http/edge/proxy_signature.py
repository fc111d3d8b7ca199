"""Check the proxy's own signature over its identity headers (RFC 9440 section 4, RFC 9421 appendix B.3).

The signature of the client is checked by ``http.freshness.fresh``.

Note [Which signature is the proxy's]
    The proxy's signature is the one with a ``keyid`` of ``PROXY_SIGNATURE_KEYS``; a request has at most one. The label
    does not count: no signature covers its label, so a client may give its own signature the proxy's label. securecore
    removes the proxy's signature from both fields before other code reads them. So ``@fresh(proof="signature")`` finds
    only the client's signature and never mistakes the proxy's signature for it.

Note [Why no nonce]
    The signature covers one certificate, one method and one URL, and is good for ``REPLAY_WINDOW`` seconds. An attacker
    that has read it between proxy and application, and can connect from a trusted peer, can repeat the request within
    that time, with another body. A nonce would cost an INSERT for each request. A view that must not accept a request
    twice uses ``@fresh``, and the hop between proxy and application is a unix socket or TLS.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import lru_cache

from django.http import HttpRequest
from django.http.request import HttpHeaders

from securecore import clock
from securecore.conf import settings
from securecore.errors import ProxySignatureRefused
from securecore.http.edge.sources import field_name
from securecore.http.edge.target import target_uri
from securecore_client.wire.message_signatures import (
    Covered,
    PublicKey,
    Request,
    SignatureError,
    is_signed_by,
    load_public_key,
    read_all,
    write_all,
)

_INPUT, _SIGNATURE = "HTTP_SIGNATURE_INPUT", "HTTP_SIGNATURE"
#: The signature must cover one of these sets of components, which identify the URL.
_TARGETS = ({"@target-uri"}, {"@authority", "@request-target"}, {"@authority", "@path", "@query"})

Members = list[tuple[Covered, bytes]]


def take(request: HttpRequest) -> Members:
    """Return the proxy's signatures on ``request`` and remove them from its fields; keep the client's signatures.

    If the fields cannot be parsed, return an empty list and leave the fields unchanged.
    """
    try:
        members = read_all(request.META.get(_INPUT, ""), request.META.get(_SIGNATURE, ""))
        ours = [member for member in members if member[0].parameters.get("keyid") in _keys()]
        rest = write_all([member for member in members if member not in ours])
    except SignatureError:
        return []
    if ours:
        request.META.update(zip((_INPUT, _SIGNATURE), rest, strict=True))
    return ours


def check(request: HttpRequest, taken: Members, headers: Mapping[str, str], now: dt.datetime) -> None:
    """Raise ``ProxySignatureRefused`` unless ``taken`` is one good and fresh signature of the proxy.

    The signature must cover the method, the URL and each of the identity ``headers``, which are given by their names in
    ``META``.
    """
    if len(taken) != 1:
        raise ProxySignatureRefused from SignatureError("There must be one readable signature of the proxy.")
    covered, signature = taken[0]
    fields = {name.lower(): value for name, value in HttpHeaders({**request.META, **headers}).items()}
    message = Request(method=str(request.method), url=target_uri(request), fields=fields)
    try:
        _check_coverage(covered, set(map(field_name, headers)))
        covered.check_parameters()
        covered.check_dates(now.timestamp(), window=settings.REPLAY_WINDOW, skew=clock.SKEW)
        good = is_signed_by(load_key(_keys()[covered.parameters["keyid"]]), covered, signature, message)
    except SignatureError as error:
        raise ProxySignatureRefused from error
    if not good:
        raise ProxySignatureRefused from SignatureError("Another key made the signature, or for another request.")


@lru_cache(maxsize=16)
def load_key(pem: str) -> PublicKey:
    """Return the key in a PEM of ``PROXY_SIGNATURE_KEYS``. Raises ``SignatureError`` for an unusable key."""
    return load_public_key(pem.encode())


def _keys() -> dict[str, str]:
    return {key["keyid"]: key["public_key"] for key in settings.PROXY_SIGNATURE_KEYS}


def _check_coverage(covered: Covered, field_names: set[str]) -> None:
    if "created" not in covered.parameters:
        raise SignatureError("The signature has no parameter created.")
    missing = ({"@method"} | field_names) - covered.whole
    if missing or not any(target <= covered.whole for target in _TARGETS):
        raise SignatureError(f"The signature must cover {', '.join(sorted(missing)) or 'the whole URL'}.")
