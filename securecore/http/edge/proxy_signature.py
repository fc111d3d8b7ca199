"""The proxy's own signature over what it says about a certificate (RFC 9440 section 4, RFC 9421 appendix B.3).

Note [Which signature is the proxy's]
    The one whose ``keyid`` is in ``PROXY_SIGNATURE_KEYS``, and there may be one. Its label says nothing: nobody signs
    labels, and a client may call its own signature as the proxy does. It is taken out of both fields before anything
    else reads them, so ``@fresh(proof="signature")`` finds the client's alone and never takes the proxy's for it.

Note [Why no nonce]
    The signature is about one certificate, one method and one URL, for ``REPLAY_WINDOW`` seconds. Whoever has read it
    on the hop behind the proxy, and can reach us from a trusted peer, may send the same request again within that time,
    with another body. Claiming each would cost an insert a request. A view that must not see a request twice says so
    with ``@fresh``, and the hop is a unix socket or TLS.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import lru_cache

from django.http import HttpRequest
from django.http.request import HttpHeaders

from securecore.conf import settings
from securecore.errors import ProxySignatureRefused
from securecore.http.edge.target import target_uri
from securecore.message_signatures import (
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
#: What says which URL it is: one of these.
_TARGETS = ({"@target-uri"}, {"@authority", "@request-target"}, {"@authority", "@path", "@query"})

Members = list[tuple[Covered, bytes]]


def take(request: HttpRequest) -> Members:
    """Return the proxy's signatures on ``request``, and leave the client's in its fields. Fields that cannot be read
    have none, and stay as they are.
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


def check(request: HttpRequest, taken: Members, said: Mapping[str, str], now: dt.datetime) -> None:
    """Raise ``ProxySignatureRefused`` unless there is one signature of the proxy in ``taken``, it is good and fresh,
    and it covers the method, the URL and all that is ``said``: headers by their names in ``META``.
    """
    if len(taken) != 1:
        raise ProxySignatureRefused from SignatureError("There must be one readable signature of the proxy.")
    covered, signature = taken[0]
    fields = {name.lower(): value for name, value in HttpHeaders({**request.META, **said}).items()}
    message = Request(method=str(request.method), url=target_uri(request), fields=fields)
    try:
        _check_coverage(covered, {name.removeprefix("HTTP_").replace("_", "-").lower() for name in said})
        covered.check_parameters()
        covered.check_dates(now.timestamp(), window=settings.REPLAY_WINDOW, skew=settings.CLOCK_SKEW)
        good = is_signed_by(load_key(_keys()[covered.parameters["keyid"]]), covered, signature, message)
    except SignatureError as error:
        raise ProxySignatureRefused from error
    if not good:
        raise ProxySignatureRefused from SignatureError("The signature is not by this key, or not of this request.")


@lru_cache(maxsize=16)
def load_key(pem: str) -> PublicKey:
    """Return the key in a PEM of ``PROXY_SIGNATURE_KEYS``. Raises ``SignatureError`` for one that verifies nothing."""
    return load_public_key(pem.encode())


def _keys() -> dict[str, str]:
    return {key["keyid"]: key["public_key"] for key in settings.PROXY_SIGNATURE_KEYS}


def _check_coverage(covered: Covered, said: set[str]) -> None:
    if "created" not in covered.parameters:
        raise SignatureError("It says not when it was created.")
    missing = ({"@method"} | said) - covered.whole
    if missing or not any(target <= covered.whole for target in _TARGETS):
        raise SignatureError(f"It must cover {', '.join(sorted(missing)) or 'the whole URL'}.")
