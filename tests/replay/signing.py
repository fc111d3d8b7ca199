"""The client side of RFC 9421: requests with a right signature, except for one change of a test."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import http_sf
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from securecore.errors import Refused, SignatureKeyUnknown
from securecore.replay import Signature, verify_signature
from securecore_client.wire.content_digest import content_digest
from securecore_client.wire.message_signatures import Covered, PublicKey, Request, sign, signature_base

NOW = dt.datetime(2026, 5, 4, 12, 0, 0, tzinfo=dt.UTC)
CREATED = int(NOW.timestamp())
URL = "https://api.example/v1/orders?urgent=1"
BODY = b'{"amount": 1}'
NONCE = "one-of-very-many"
KEYID = "a key of alice's"
#: As the value of a parameter or field: leave it out.
ABSENT: Any = object()

P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)
ACCEPTED = {"ecdsa-p256-sha256": P256, "ecdsa-p384-sha384": P384, "ed25519": ED25519, "rsa-pss-sha512": RSA}

PARAMETERS = {"created": CREATED, "expires": CREATED + 60, "nonce": NONCE, "keyid": KEYID}
COVERED = ("@method", "@target-uri", "@authority", "content-digest", "content-type")
REQUEST = Request("POST", URL, {"content-digest": content_digest(BODY), "content-type": "application/json"})


def signed(
    covered: tuple[Any, ...] = COVERED,
    *,
    key: Any = P256,
    request: Request = REQUEST,
    fields: dict[str, str] | None = None,
    **parameters: Any,
) -> Request:
    """``request`` with a good signature over ``covered``; ``parameters`` and ``fields`` replace or add members."""
    merged = {name: value for name, value in {**PARAMETERS, **parameters}.items() if value is not ABSENT}
    present = {name: value for name, value in {**request.fields, **(fields or {})}.items() if value is not ABSENT}
    components = tuple(name if isinstance(name, tuple) else (name, {}) for name in covered)
    request = replace(request, fields=present)
    described = Covered("sig", components, merged)
    return with_signature(request, str(described), sign(signature_base(described, request), key))


def with_signature(request: Request, signature_input: str, signature: bytes) -> Request:
    added = {"signature-input": signature_input, "signature": http_sf.ser({"sig": signature})}
    return replace(request, fields={**request.fields, **added})


def public_pem(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def changed(request: Request, **fields: Any) -> Request:
    """Return ``request`` with other fields than the signed ones; names have ``_`` for ``-``."""
    renamed = {name.replace("_", "-"): value for name, value in fields.items()}
    present = {name: value for name, value in {**request.fields, **renamed}.items() if value is not ABSENT}
    return replace(request, fields=present)


def verify(
    request: Request, *, body: bytes = BODY, key: Any = P256, now: dt.datetime = NOW, keyid: str = KEYID
) -> Signature:
    def key_of(presented: str) -> PublicKey:
        if presented != keyid:
            raise SignatureKeyUnknown
        public: PublicKey = key.public_key()
        return public

    return verify_signature(request, body=body, key_of=key_of, now=now)


def refused(request: Request, detail: str = "", **how: Any) -> str:
    """Return the code of the refusal with this reason. Another check could otherwise hide that the intended one is
    missing.
    """
    with pytest.raises(Refused) as refusal:
        verify(request, **how)
    assert detail in f"{refusal.value.detail} {refusal.value.__cause__}"
    return refusal.value.code
