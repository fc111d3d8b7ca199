"""The DPoP proof of a request (RFC 9449): verified and claimed before the view, judged where it is used."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote

from securecore import clock
from securecore.conf import settings
from securecore.errors import InvalidDPoPProof, UseDPoPNonce
from securecore.replay import dpop, server_nonce

#: RFC 3986 section 3.3, besides what quote() keeps anyway.
_PATH_CHARACTERS = "/!$&'()*+,;=:@"
_SPELLED_PATH = re.compile(r"(?:[\w.~/!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+", re.ASCII)


def presented_proof(request: Any) -> dpop.Proof | InvalidDPoPProof | UseDPoPNonce | None:
    """Return what ``request.dpop_proof`` shall be: the proof, why it is none, or None without a DPoP header.

    Called by the middleware, outside of every transaction, since the claim of the proof must outlive whatever the view
    rolls back. The refusal is not raised here: the token endpoint and a resource answer it differently.
    """
    presented = request.headers.get("DPoP")
    if presented is None:
        return None
    now = clock.now()
    try:
        proof = dpop.verify_proof(
            presented,
            method=request.method,
            url=_url(request),
            access_token=_access_token(request),
            now=now,
            nonce_required=settings.DPOP_NONCE_REQUIRED,
        )
        dpop.claim_proof(proof, now=now)
    except InvalidDPoPProof as refusal:
        return refusal
    except UseDPoPNonce as refusal:
        refusal.headers["DPoP-Nonce"] = server_nonce.current(now)
        return refusal
    return proof


def proof_of_request(request: Any) -> dpop.Proof | None:
    """Return the claimed proof of this request, or None if it has none. Raises ``InvalidDPoPProof``,
    ``UseDPoPNonce``.
    """
    proof = request.dpop_proof
    if isinstance(proof, (InvalidDPoPProof, UseDPoPNonce)):
        raise proof
    return proof  # type: ignore[no-any-return]


def _url(request: Any) -> str:
    # Not build_absolute_uri(): for the path "//other/x" it gives another host, and it leaves "?" and "#" of a path as
    # they are, so that a proof for less would fit.
    return f"{request.scheme}://{request.get_host()}{_path(request)}"


def _path(request: Any) -> str:
    """The path as it was spelled on the wire, which gunicorn tells; WSGI itself forgets what was escaped without need.

    No header can become RAW_URI, and it is believed only if it spells the path that Django serves.
    """
    spelled = request.META.get("RAW_URI", "").partition("?")[0]
    if _SPELLED_PATH.fullmatch(spelled) and unquote(spelled) == request.path:
        return str(spelled)
    return quote(request.path, safe=_PATH_CHARACTERS)


def _access_token(request: Any) -> str | None:
    scheme, _, presented_token = request.headers.get("Authorization", "").partition(" ")
    return presented_token.strip() if scheme.lower() == "dpop" else None
