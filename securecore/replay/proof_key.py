"""The public key in the header of a DPoP proof: check that the key is acceptable, and verify its signature."""

from __future__ import annotations

from typing import Any, NamedTuple

import jwt

from securecore import digests
from securecore.errors import InvalidDPoPProof


class _Family(NamedTuple):
    """The members that a ``jwk`` must have with these values, and its numbers with their lengths in bytes."""

    words: dict[str, str]
    numbers: dict[str, range]


_P256 = _Family({"kty": "EC", "crv": "P-256"}, {"x": range(32, 33), "y": range(32, 33)})
_ED25519 = _Family({"kty": "OKP", "crv": "Ed25519"}, {"x": range(32, 33)})
#: 2048 to 4096 bits, and an exponent of at most four bytes: a stranger chooses the key, and the server pays for the
#: arithmetic.
_RSA = _Family({"kty": "RSA"}, {"n": range(256, 513), "e": range(1, 5)})

#: Each ``alg`` with its name in PyJWT. EdDSA and Ed25519 (RFC 9864) are two names of one algorithm.
_ALGORITHMS = {
    "ES256": ("ES256", _P256),
    "EdDSA": ("EdDSA", _ED25519),
    "Ed25519": ("EdDSA", _ED25519),
    "PS256": ("PS256", _RSA),
    "RS256": ("RS256", _RSA),
}
#: For the ``algs`` of a challenge (RFC 9449 section 7.1) and the server's metadata (section 5.1).
DPOP_ALGORITHMS = tuple(_ALGORITHMS)

#: ``k`` is the secret of a symmetric key: a header would publish the secret too.
_PRIVATE_MEMBERS = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
#: CVE-2017-15361 (ROCA): modulo each of these primes, a weak chip's modulus is a power of 65537. A good modulus passes
#: for a weak one with probability 2^-27.
_ROCA = {
    prime: frozenset(pow(65537, power, prime) for power in range(prime))
    for prime in (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
}


def checked_key(jwk: Any, algorithm: str) -> dict[str, Any]:
    """Return ``jwk`` if it is a public key of the family and curve of ``algorithm``, one of ``DPOP_ALGORITHMS``.

    Raises ``InvalidDPoPProof``, and ``KeyError``, ``TypeError`` or ``ValueError`` for unreadable numbers.
    """
    if not isinstance(jwk, dict):
        raise InvalidDPoPProof("jwk must be a public key.")
    if _PRIVATE_MEMBERS & jwk.keys():
        raise InvalidDPoPProof("jwk holds a private key, which is now known to others.")
    words, numbers = _ALGORITHMS[algorithm][1]
    if any(jwk.get(name) != word for name, word in words.items()):
        raise InvalidDPoPProof("jwk is no key for this alg.")
    for name, sizes in numbers.items():
        raw = digests.from_base64url(jwk[name])
        # RFC 7518 section 6.3.1.1: RSA numbers have no leading zeros. Coordinates of curves keep leading zeros.
        if len(raw) not in sizes or (words["kty"] == "RSA" and raw[0] == 0):
            raise InvalidDPoPProof("jwk is no key for this alg.")
    if not _is_for_signing(jwk, algorithm):
        raise InvalidDPoPProof("jwk is for another use or alg.")
    return jwk


def signature_is_good(signature: bytes, *, of: bytes, jwk: dict[str, Any], algorithm: str) -> bool:
    """Say whether the holder of the checked ``jwk`` signed the bytes ``of``.

    Raises ``InvalidDPoPProof`` for weak RSA keys, and PyJWT's exceptions for numbers that are no key.
    """
    scheme = jwt.get_algorithm_by_name(_ALGORITHMS[algorithm][0])
    key: Any = scheme.from_jwk(jwk)
    if jwk["kty"] == "RSA":
        modulus = key.public_numbers().n
        if key.key_size < 2048 or all(modulus % prime in powers for prime, powers in _ROCA.items()):
            raise InvalidDPoPProof("jwk is a weak key.")  # RFC 8725 section 3.5
    return scheme.verify(of, key, signature)


def _is_for_signing(jwk: dict[str, Any], algorithm: str) -> bool:
    """Say whether the key's own ``use``, ``key_ops`` and ``alg`` allow this (RFC 7517 sections 4.2 to 4.4)."""
    return (
        jwk.get("use", "sig") == "sig"
        # Some clients derive the public key by dropping the secret members, so ``key_ops`` still holds "sign".
        and not {"sign", "verify"}.isdisjoint(jwk.get("key_ops", ["verify"]))
        and _ALGORITHMS.get(jwk.get("alg", algorithm)) == _ALGORITHMS[algorithm]
    )
