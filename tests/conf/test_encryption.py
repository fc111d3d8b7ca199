"""Values of the database, encrypted under `ENCRYPTION_KEYS`."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet

from securecore.encryption import InvalidToken, decrypt, encrypt

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_a_value_is_read_under_every_key_of_the_list() -> None:
    sealed = encrypt(b"a secret", purpose="stored response", keys=(OLD,))
    assert b"secret" not in sealed
    for keys in ((OLD,), (NEW, OLD)):
        assert decrypt(sealed, purpose="stored response", keys=keys) == b"a secret"


def test_the_first_key_encrypts() -> None:
    sealed = encrypt(b"a secret", purpose="stored response", keys=(NEW, OLD))
    assert decrypt(sealed, purpose="stored response", keys=(NEW,)) == b"a secret"


@pytest.mark.parametrize("keys", [(), (NEW,)])
def test_a_value_is_not_read_without_its_key(keys: tuple[str, ...]) -> None:
    sealed = encrypt(b"a secret", purpose="stored response", keys=(OLD,))
    with pytest.raises(InvalidToken):
        decrypt(sealed, purpose="stored response", keys=keys)


def test_a_value_is_not_read_for_another_purpose() -> None:
    """A stored response with an attacker's private key in it cannot become a signing key."""
    sealed = encrypt(b"-----BEGIN PRIVATE KEY-----", purpose="stored response", keys=(OLD,))
    with pytest.raises(InvalidToken):
        decrypt(sealed, purpose="signing key", keys=(OLD,))
