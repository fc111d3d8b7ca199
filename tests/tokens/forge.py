"""Tokens of every kind: good tokens, and an attacker's variants of them."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any

import jwt

from securecore.conf import settings
from securecore.tokens import keys
from securecore.tokens.keys import SigningKey

#: As a value: leave this member out of a claim set or a header.
ABSENT = object()


def own_key() -> SigningKey:
    """The key of the settings, which needs no database."""
    return next(iter(keys.configured().values()))


def segment(content: Any) -> str:
    """Return one part of a token: any value as JSON, or bytes unchanged."""
    raw = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims(now: dt.datetime, **changed: Any) -> dict[str, Any]:
    """Return the claims of a good token, with `changed` replaced."""
    good: dict[str, Any] = {
        "iss": settings.TOKEN_ISSUER,
        "aud": settings.TOKEN_AUDIENCE,
        "sub": "1",
        "client_id": "alice",
        "iat": int(now.timestamp()),
        "exp": int(now.timestamp()) + 300,
        "jti": "a name of its own",
        "cnf": {"x5t#S256": "a thumbprint"},
        "epochs": [0, 0],
    }
    return {name: value for name, value in (good | changed).items() if value is not ABSENT}


def header(**changed: Any) -> dict[str, Any]:
    """Return the header of a good token, with `changed` replaced."""
    good = {"typ": "at+jwt", "alg": own_key().algorithm, "kid": own_key().kid}
    return {name: value for name, value in (good | changed).items() if value is not ABSENT}


def sign(head: Any, payload: Any, *, algorithm: str | None = None, key: Any = None) -> str:
    """Return a token with these two parts, signed by the service's own key."""
    own = own_key()
    signing_input = f"{segment(head)}.{segment(payload)}"
    method = jwt.get_algorithm_by_name(algorithm or own.algorithm)
    signature = method.sign(signing_input.encode(), key if key is not None else own.private)
    return f"{signing_input}.{segment(signature)}"
