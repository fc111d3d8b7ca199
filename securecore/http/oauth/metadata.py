"""The public documents of the authorization server: its signing keys and its metadata (RFC 7517, RFC 8414)."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from securecore import clock, tokens
from securecore.conf import SELF_SIGNED, settings
from securecore.http.caching import public_response
from securecore.http.oauth.token import GRANT_TYPES
from securecore.replay import DPOP_ALGORITHMS

#: Clients may cache the documents for 300 s. Create a signing key at least 300 s before its first signature, so that
#: clients know the key in time.
_CACHE = "public, max-age=300"


@login_not_required
@public_response
@require_safe
def jwks(request: HttpRequest) -> JsonResponse:
    """Return the public signing keys as a JWK Set."""
    response = JsonResponse(tokens.keys.public_jwks(clock.now()), content_type="application/jwk-set+json")
    response["Cache-Control"] = _CACHE
    return response


@login_not_required
@public_response
@require_safe
def authorization_server(request: HttpRequest) -> JsonResponse:
    """Return the metadata of RFC 8414 section 2, RFC 8705 sections 3.3 and 5, and RFC 9449 section 5.1."""
    endpoints = {
        "token_endpoint": _url("token"),
        "revocation_endpoint": _url("revoke"),
        "introspection_endpoint": _url("introspect"),
    }
    authentication = ["tls_client_auth"] + ["self_signed_tls_client_auth"] * (
        SELF_SIGNED in settings.CERTIFICATE_MATCHES
    )
    body: dict[str, Any] = {
        "issuer": settings.TOKEN_ISSUER,
        "jwks_uri": _url("jwks"),
        **endpoints,
        "grant_types_supported": list(GRANT_TYPES),
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": authentication,
        "revocation_endpoint_auth_methods_supported": authentication,
        "introspection_endpoint_auth_methods_supported": authentication,
        "tls_client_certificate_bound_access_tokens": True,
        "dpop_signing_alg_values_supported": list(DPOP_ALGORITHMS),
        # All endpoints are behind mutual TLS, so each endpoint is its own alias.
        "mtls_endpoint_aliases": endpoints,
    }
    response = JsonResponse(body)
    response["Cache-Control"] = _CACHE
    return response


def _url(name: str) -> str:
    return settings.TOKEN_ISSUER.rstrip("/") + reverse(f"securecore:{name}")
