"""Secrets that people sign tokens with before they think of a better one, and a test of a token against them."""

from __future__ import annotations

import hashlib
import hmac

from securecore_scan.client import jws

#: From manuals, templates and training APIs.
COMMON = (
    *("secret", "secret_key", "secretkey", "secret-key", "your-256-bit-secret", "your-secret-key", "your_secret_key"),
    *("changeme", "change-me", "changeit", "password", "passw0rd", "admin", "test", "testing", "random", "key"),
    *("private", "jwt", "jwtsecret", "jwt_secret", "jwt-secret", "mysecret", "my_secret", "my-secret", "mysecretkey"),
    *("supersecret", "super-secret", "super_secret", "supersecretkey", "super-secret-key", "shhhhh", "s3cr3t"),
    *("topsecret", "default", "dev", "development", "example", "foobar", "hello", "letmein", "qwerty", "123456"),
    *("12345678", "1234567890", "token", "api", "app", "node", "express", "flask", "django", "spring", "fastapi"),
    *("your-512-bit-secret", "your-384-bit-secret", "GQDstcKsx0NHjPOuXOYg5MbeJ1XT0uFiwDVvVBrk", "not-a-secret", ""),
    # The manuals of FastAPI, jwt.io and jsonwebtoken, and templates that were copied many times.
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "a-string-secret-at-least-256-bits-long",
    *("super-secret-jwt-token-with-at-least-32-characters-long", "thisisasecret", "keyboard cat", "changethis"),
)
_DIGESTS = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def signs_with_hmac(algorithm: object) -> bool:
    return algorithm in _DIGESTS


def guessed(token: str) -> str | None:
    """Return the common secret that signs the token, or None."""
    found = jws.decode(token)
    digest = _DIGESTS.get(str(found[0].get("alg"))) if found else None
    if digest is None:
        return None
    content, _, signature = token.rpartition(".")
    for secret in COMMON:
        if hmac.compare_digest(jws.encoded(hmac.digest(secret.encode(), content.encode(), digest)), signature):
            return secret
    return None
