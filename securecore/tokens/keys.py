"""The signing keys from settings, each fixed to one algorithm (RFC 8725 section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from securecore.conf import settings
from securecore.errors import Misuse


@dataclass(frozen=True)
class SigningKey:
    """``private`` signs, ``public`` verifies; for HS256 both are the one secret."""

    kid: str
    algorithm: str
    private: Any = field(repr=False)
    public: Any = field(repr=False)


def signing_key() -> SigningKey:
    """Return the key that signs: the first of ``TOKEN_SIGNING_KEYS``. Raises ``Misuse`` without one."""
    keys = _read(_frozen())
    if not keys:
        raise Misuse("SECURECORE['TOKEN_SIGNING_KEYS'] is empty, so no token can be issued. Give it one key.")
    return next(iter(keys.values()))


def verification_key(kid: object) -> SigningKey | None:
    """Return the key that ``kid`` names, or None. Keys come from settings only: jku, x5u and jwk are never followed."""
    return _read(_frozen()).get(kid) if isinstance(kid, str) else None


def _frozen() -> tuple[tuple[str, str, str], ...]:
    return tuple((key["kid"], key["alg"], key["private_key"]) for key in settings.TOKEN_SIGNING_KEYS)


@lru_cache(maxsize=4)
def _read(described: tuple[tuple[str, str, str], ...]) -> dict[str, SigningKey]:
    return {kid: _load(kid, algorithm, text) for kid, algorithm, text in described}


def _load(kid: str, algorithm: str, text: str) -> SigningKey:
    handler = jwt.get_algorithm_by_name(algorithm)
    private = text if algorithm == "HS256" else load_pem_private_key(text.encode(), password=None)
    # PyJWT refuses a key of another family or curve. Of one that is too short (RFC 7518 sections 3.2 and 3.3) it would
    # only warn.
    if complaint := handler.check_key_length(handler.prepare_key(private)):
        raise ValueError(complaint)
    return SigningKey(kid, algorithm, private, private if isinstance(private, str) else private.public_key())
