"""The signatures printed in RFC 9421, appendix B.2, and bases printed in its text."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

from securecore_client.wire.message_signatures import (
    SignatureError,
    algorithm_of,
    is_signed,
    read,
    sign,
    signature_base,
)
from tests.replay import rfc9421

ASYMMETRIC = [rfc9421.B_2_1, rfc9421.B_2_2, rfc9421.B_2_3, rfc9421.B_2_4, rfc9421.B_2_6]


@pytest.mark.parametrize("vector", ASYMMETRIC, ids=["b21", "b22", "b23", "b24", "b26"])
class TestAppendixB2:
    def test_appendix_b2_is_verified(self, vector: Any) -> None:
        message, key, signature_input, signature = vector
        covered, value = read(signature_input, signature)
        assert is_signed(signature_base(covered, message), value, key)

    def test_appendix_b2_is_refused_with_one_bit_changed(self, vector: Any) -> None:
        message, key, signature_input, signature = vector
        covered, value = read(signature_input, signature)
        changed = bytes([value[0] ^ 1, *value[1:]])
        assert not is_signed(signature_base(covered, message), changed, key)
        assert not is_signed(signature_base(covered, message) + b" ", value, key)

    def test_appendix_b2_is_written_again_as_it_was_read(self, vector: Any) -> None:
        _, _, signature_input, signature = vector
        assert str(read(signature_input, signature)[0]) == signature_input


def test_b_2_5_has_the_base_of_its_hmac() -> None:
    message, secret, signature_input, signature = rfc9421.B_2_5
    covered, value = read(signature_input, signature)
    assert hmac.digest(secret, signature_base(covered, message), hashlib.sha256) == value


def test_b_2_5_has_a_key_that_is_not_accepted() -> None:
    """A secret that the server shares proves no signer (section 7.3.2)."""
    with pytest.raises(SignatureError):
        algorithm_of(rfc9421.SHARED_SECRET)


def test_b_2_6_is_made_again_by_its_private_key() -> None:
    """Ed25519 has one signature for a base."""
    message, _, signature_input, signature = rfc9421.B_2_6
    covered, value = read(signature_input, signature)
    assert sign(signature_base(covered, message), rfc9421.ED25519_PRIVATE) == value


def test_section_2_5_has_this_base() -> None:
    covered, _ = read(
        'sig1=("@method" "@authority" "@path" "content-digest" "content-length" "content-type")'
        ';created=1618884473;keyid="test-key-rsa-pss"',
        "sig1=:AA==:",
    )
    assert signature_base(covered, rfc9421.REQUEST).decode() == (
        '"@method": POST\n'
        '"@authority": example.com\n'
        '"@path": /foo\n'
        '"content-digest": sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+T'
        "aPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:\n"
        '"content-length": 18\n'
        '"content-type": application/json\n'
        '"@signature-params": ("@method" "@authority" "@path" "content-digest" "content-length" "content-type")'
        ';created=1618884473;keyid="test-key-rsa-pss"'
    )
