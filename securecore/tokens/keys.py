"""Signing keys, each fixed to one algorithm (RFC 8725 section 3.1), with their rotation and retirement.

A key comes from ``TOKEN_SIGNING_KEYS`` or from the table, where ``rotate`` stores it encrypted. A key of the table that
may sign has precedence over the setting. Every key verifies until it expires, so a rotation ends no token.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from securecore import audit, clock, database, digests, encryption, events
from securecore.arguments import require_name
from securecore.caches import BoundedCache
from securecore.conf import settings
from securecore.errors import Misuse
from securecore.tokens.models import SigningKey as StoredKey

_PURPOSE = "signing key"


@dataclass(frozen=True)
class SigningKey:
    """A key that signs with ``private`` and verifies with ``public``; for HS256 both are the one secret."""

    kid: str
    algorithm: str
    private: Any = field(repr=False)
    public: Any = field(repr=False)
    #: The key is a row. The row can be retired at any time, so each request reads whether the key still verifies.
    is_stored: bool = False


#: Stored keys that verify, without their private halves. 32 keys are a rotation each hour for more than a day.
_known: BoundedCache[SigningKey] = BoundedCache(size=32)


def signing_key(now: dt.datetime) -> SigningKey:
    """Return the key that signs. Raises ``Misuse`` if there is none, or no issuer and audience of its tokens."""
    _require_issuer()
    stored = StoredKey.objects.using(settings.DATABASE).signing(now).first()
    if stored is not None:
        return _decrypted(stored.kid, stored.algorithm, stored.encrypted_private_key, settings.ENCRYPTION_KEYS)
    from_settings = configured()
    if not from_settings:
        raise Misuse(
            "There is no key to sign a token with: run manage.py securecore_keys rotate, or give "
            "SECURECORE['TOKEN_SIGNING_KEYS'] one."
        )
    return next(iter(from_settings.values()))


def _require_issuer() -> None:
    # TOKEN_SIGNING_KEYS needs both from the start (securecore.E001). Keys of the table are not known at the start.
    if not (settings.TOKEN_ISSUER and settings.TOKEN_AUDIENCE):
        raise Misuse("A token needs SECURECORE['TOKEN_ISSUER'] and ['TOKEN_AUDIENCE'] (RFC 9068 section 2.2).")


def verification_key(kid: object, now: dt.datetime) -> SigningKey | None:
    """Return the key that ``kid`` names in the setting or the table, or None. ``jku``, ``x5u``, ``jwk`` are ignored."""
    if not isinstance(kid, str):
        return None
    if from_settings := configured().get(kid):
        return from_settings
    if len(kid) > 64 or "\x00" in kid:
        return None
    stored = StoredKey.objects.using(settings.DATABASE).verifying(now).filter(pk=kid).first()
    if stored is None:
        return None
    return _decrypted(stored.kid, stored.algorithm, stored.encrypted_private_key, settings.ENCRYPTION_KEYS)


def known_key(kid: object, now: dt.datetime) -> SigningKey | None:
    """Return the key that ``kid`` names, without a statement if this process read it in the last five minutes.

    A cached key may be retired by now. So a token of a stored key is good only if the one query also reads that the key
    still verifies.
    """
    if not isinstance(kid, str):
        return None
    if from_settings := configured().get(kid):
        return from_settings
    name = (kid, settings.ENCRYPTION_KEYS)
    known = _known.get(name)
    if known is None:
        known = verification_key(kid, now)
        if known is not None and known.is_stored:
            known = replace(known, private=None)
            _known.put(name, known)
    return known


def public_jwks(now: dt.datetime) -> dict[str, list[dict[str, Any]]]:
    """Return every public key that verifies or will sign, as a JWK Set (RFC 7517 section 5). HS256 keys are left
    out.
    """
    keys = [key for key in configured().values() if key.algorithm != "HS256"]
    for stored in StoredKey.objects.using(settings.DATABASE).verifying(now).order_by("created_at"):
        keys.append(_decrypted(stored.kid, stored.algorithm, stored.encrypted_private_key, settings.ENCRYPTION_KEYS))
    return {"keys": [_public_jwk(key) for key in keys]}


def rotate(*, algorithm: str, lead: int, now: dt.datetime) -> str:
    """Make a new key that signs ``lead`` seconds from ``now``; return its ``kid``. Opens or joins a transaction.

    The lead gives other services time to fetch the new public key. The first key signs at once. Each older key verifies
    until the last token that it signs has expired on every host.
    """
    _require_issuer()
    kid = digests.new_name()
    with database.outermost_transaction("rotate()"):
        stored = StoredKey.objects.using(settings.DATABASE)
        signing = stored.signing(now).first()
        signs_at = now + dt.timedelta(seconds=lead) if signing else now
        # The keys that can sign before ``signs_at``: the present one, and newer ones that wait for their own lead.
        older = stored.filter(created_at__gte=signing.created_at) if signing else stored
        older.verifying(now).update(
            expires_at=signs_at + dt.timedelta(seconds=settings.ACCESS_TOKEN_LIFETIME + 2 * clock.SKEW)
        )
        stored.create(
            kid=kid,
            algorithm=algorithm,
            encrypted_private_key=_encrypted(_generate(algorithm)),
            created_at=now,
            signs_at=signs_at,
        )
        audit.report(events.KeyStored(kid=kid, algorithm=algorithm))
    return kid


def retire(*, kid: str, now: dt.datetime) -> bool:
    """Refuse every token of this key from the commit on; return False if no such key verifies."""
    require_name(kid=kid)
    # In the past: otherwise a host with a slow clock would accept the key's tokens for up to ``clock.SKEW``.
    gone = now - dt.timedelta(seconds=clock.SKEW)
    return bool(StoredKey.objects.using(settings.DATABASE).verifying(now).filter(pk=kid).update(expires_at=gone))


def configured() -> dict[str, SigningKey]:
    """Return the keys of ``TOKEN_SIGNING_KEYS`` by ``kid``. Does not catch the exceptions of their decoding."""
    global _configured
    given, known = _configured
    if given is not settings.TOKEN_SIGNING_KEYS:
        given = settings.TOKEN_SIGNING_KEYS
        known = {key["kid"]: load_configured(key) for key in given}
        _configured = given, known
    return known


def load_configured(given: dict[str, str]) -> SigningKey:
    """Decode one entry of ``TOKEN_SIGNING_KEYS``. Does not catch the exceptions of its decoding."""
    return _load(given["kid"], given["alg"], given["private_key"])


#: The last value of the setting and its decoded keys, because every request with a token needs them.
_configured: tuple[tuple[dict[str, str], ...], dict[str, SigningKey]] = ((), {})


@lru_cache(maxsize=16)
def _decrypted(kid: str, algorithm: str, encrypted: str, encryption_keys: tuple[str, ...]) -> SigningKey:
    try:
        text = encryption.decrypt(encrypted.encode(), purpose=_PURPOSE, keys=encryption_keys).decode()
    except (encryption.InvalidToken, ValueError) as error:
        raise Misuse(
            f"The signing key {kid} cannot be decrypted. SECURECORE['ENCRYPTION_KEYS'] must still list the key "
            f"under which it was encrypted, behind the newer ones."
        ) from error
    return _load(kid, algorithm, text, is_stored=True)


def _load(kid: str, algorithm: str, text: str, *, is_stored: bool = False) -> SigningKey:
    handler = jwt.get_algorithm_by_name(algorithm)
    private = text if algorithm == "HS256" else load_pem_private_key(text.encode(), password=None)
    # PyJWT refuses a key of another family or curve, but only warns of a key that is too short (RFC 7518 sections 3.2
    # and 3.3).
    if complaint := handler.check_key_length(handler.prepare_key(private)):
        raise ValueError(complaint)
    public = private if isinstance(private, str) else private.public_key()
    return SigningKey(kid, algorithm, private, public, is_stored)


def _public_jwk(key: SigningKey) -> dict[str, Any]:
    jwk: dict[str, Any] = jwt.get_algorithm_by_name(key.algorithm).to_jwk(key.public, as_dict=True)
    return {name: value for name, value in jwk.items() if name != "key_ops"} | {
        "kid": key.kid,
        "alg": key.algorithm,
        "use": "sig",
    }


def _generate(algorithm: str) -> bytes:
    private: Any
    if algorithm == "ES256":
        private = ec.generate_private_key(ec.SECP256R1())
    elif algorithm == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
    elif algorithm in ("PS256", "RS256"):
        private = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    else:
        raise Misuse(f"A key for {algorithm!r} cannot be made here: use ES256, EdDSA, PS256 or RS256.")
    pem: bytes = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem


def _encrypted(private_key: bytes) -> str:
    keys = settings.ENCRYPTION_KEYS
    if not keys:
        raise Misuse(
            "A private key is never stored in clear: give SECURECORE['ENCRYPTION_KEYS'] a key, made with "
            "cryptography.fernet.Fernet.generate_key()."
        )
    return encryption.encrypt(private_key, purpose=_PURPOSE, keys=keys).decode()
