"""Encrypt values of the database under ``ENCRYPTION_KEYS``: private signing keys, and stored responses.

Each purpose has keys of its own, derived from the setting (HKDF, RFC 5869). So an attacker with write access to the
tables cannot move a value to another purpose. Example: a stored response that echoes
a private key of the attacker, copied to the table of signing keys, is not decrypted there.
"""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def encrypt(value: bytes, *, purpose: str, keys: tuple[str, ...]) -> bytes:
    """Encrypt ``value`` under the first key. ``keys`` is the value of ``ENCRYPTION_KEYS``, with at least one key."""
    return _derived(purpose, keys).encrypt(value)


def decrypt(sealed: bytes, *, purpose: str, keys: tuple[str, ...]) -> bytes:
    """Decrypt ``sealed`` under the key that encrypted it. Raises ``InvalidToken`` if ``keys`` has no such key."""
    if not keys:
        raise InvalidToken
    return _derived(purpose, keys).decrypt(sealed)


def _derived(purpose: str, keys: tuple[str, ...]) -> MultiFernet:
    info = f"securecore {purpose}".encode()
    secrets = [base64.urlsafe_b64decode(key) for key in keys]
    derived = [HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret) for secret in secrets]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derived])
