"""The Authorization header, parsed once for each request, and the challenges of its schemes in a 401 response."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from securecore import tokens
from securecore.errors import Refused
from securecore.http.request import SecureRequest, state_of
from securecore.replay import DPOP_ALGORITHMS

BEARER, DPOP = "bearer", "dpop"
#: The schemes of access tokens, with their challenges (RFC 6750 section 3, RFC 9449 section 7.1).
CHALLENGES = {BEARER: 'Bearer realm="api"', DPOP: f'DPoP realm="api", algs="{" ".join(DPOP_ALGORITHMS)}"'}

_SCHEME = re.compile(r"[\w!#$%&'*+.^`|~-]*", re.ASCII)  # a token of RFC 9110 section 5.6.2
_Refused = TypeVar("_Refused", bound=Refused)


@dataclass(frozen=True)
class AuthorizationHeader:
    """The Authorization header of one request. Both texts are empty without a header."""

    #: In lower case, for example ``bearer``.
    scheme: str = ""
    value: str = ""

    @classmethod
    def parse(cls, header: str) -> AuthorizationHeader:
        """Split ``header`` into the scheme and the rest.

        If a character other than a blank ends the scheme, as in ``Bearer:``, the rest is empty, and the header is
        refused like a bad token.
        """
        word, _, rest = header.partition(" ")
        scheme = _SCHEME.match(word)[0]  # type: ignore[index]  # the pattern also matches an empty string
        return cls(scheme.lower(), rest.strip() if scheme == word else "")

    @property
    def access_token(self) -> str | None:
        """Return the presented access token, or None under another scheme.

        A token outside this header is ignored (RFC 6750 section 2.1).
        """
        return self.value if self.scheme in CHALLENGES else None

    @property
    def dpop_token(self) -> str | None:
        """Return the presented DPoP-bound access token, or None under another scheme."""
        return self.value if self.scheme == DPOP else None

    @cached_property
    def is_our_type(self) -> bool:
        """Say whether the unverified token names the type of securecore's access tokens, ``at+jwt``."""
        return tokens.is_our_type(self.value)

    @property
    def holds_own_token(self) -> bool:
        """Say whether the header presents a token that securecore must judge: each under DPoP, or one of our type."""
        return self.scheme == DPOP or (self.scheme == BEARER and self.is_our_type)

    @property
    def holds_foreign_token(self) -> bool:
        """Say whether the header presents a Bearer token that another package issued."""
        return self.scheme == BEARER and not self.is_our_type


def authorization_of(request: SecureRequest) -> AuthorizationHeader:
    """Return the Authorization header of ``request``. The first call parses it."""
    state = state_of(request)
    if state.authorization is None:
        state.authorization = AuthorizationHeader.parse(request.META.get("HTTP_AUTHORIZATION", ""))
    return state.authorization


def challenged(refusal: _Refused, scheme: str, error: str = "") -> _Refused:
    """Return ``refusal`` as a 401 with the challenge of ``scheme``."""
    refusal.status = 401  # type: ignore[misc]  # the token endpoint answers 400 (RFC 9449 sections 5 and 7.1)
    error = error or refusal.code.replace("-", "_")
    refusal.headers["WWW-Authenticate"] = f'{CHALLENGES[scheme]}, error="{error}"'
    return refusal
