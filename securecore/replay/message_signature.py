"""The HTTP message signature of a request: made by this key, for exactly this request, just now (RFC 9421).

``verify_signature`` makes the checks of section 3.2, what costs little first, and holds the signature to the profile of
section 1.4 that is written down here. ``claim_signature`` then accepts it once in the whole cluster (section 7.2.2).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from securecore import digests
from securecore.conf import settings
from securecore.content_digest import check_content_digest
from securecore.errors import (
    ContentDigestMissing,
    NonceReused,
    SignatureIncomplete,
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
    SignatureStale,
)
from securecore.message_signatures import (
    Covered,
    PublicKey,
    Request,
    SignatureError,
    algorithm_of,
    is_signed,
    read,
    signature_base,
)
from securecore.replay import store

#: What every signature covers, and what it covers of the fields that a request has.
ALWAYS_COVERED = ("@method", "@target-uri", "@authority")
COVERED_IF_PRESENT = ("content-digest", "idempotency-key", "authorization")
REQUIRED_PARAMETERS = ("created", "expires", "nonce", "keyid")
_PARAMETERS = {"created": int, "expires": int, "nonce": str, "keyid": str, "alg": str, "tag": str}

#: Characters of ``Signature-Input``, and components in it: ours needs a third, and each costs us work.
_LONGEST_INPUT = 4096
_MOST_COMPONENTS = 32
#: 16 characters of base64url are 96 random bits.
_NONCE = re.compile(r"[!-~]{16,128}")
#: The last second that a date can be written of; no wider integer ever reaches the arithmetic.
_LAST_SECOND = 253_402_300_799


@dataclass(frozen=True)
class Signature:
    """A signature that passed every check but the claim."""

    keyid: str
    nonce: str
    created: dt.datetime


def verify_signature(
    request: Request, *, body: bytes, key_of: Callable[[str], PublicKey], now: dt.datetime
) -> Signature:
    """Return the signature of ``request``, whose raw ``body`` came with it.

    ``key_of`` returns the public key of a ``keyid`` or raises ``SignatureKeyUnknown``, as this does. Raises too
    ``SignatureMissing``, ``SignatureMalformed``, ``SignatureIncomplete``, ``SignatureStale``, ``SignatureInvalid``,
    ``ContentDigestMissing``, ``ContentDigestMalformed``, ``ContentDigestMismatch``. Nothing is stored:
    ``claim_signature`` must follow.
    """
    covered, value = _read(request)
    _check_coverage(covered, request, body)
    signature = _checked_parameters(covered.parameters, now)
    key = key_of(signature.keyid)
    try:
        if covered.parameters.get("alg", algorithm_of(key)) != algorithm_of(key):
            raise SignatureInvalid("alg is not the algorithm of this key.")  # section 3.2, step 6
        good = is_signed(signature_base(covered, request), value, key)
    except SignatureError as error:
        raise SignatureInvalid(str(error)) from error
    if not good:
        raise SignatureInvalid
    # The digest was signed, the body was not (section 7.2.8).
    if "content-digest" in request.fields:
        check_content_digest(request.fields["content-digest"], body)
    return signature


def claim_signature(signature: Signature, *, now: dt.datetime) -> None:
    """Accept ``signature`` once in the cluster. Commits by itself: raises ``Misuse`` in a transaction.

    Raises ``NonceReused``, and what ``store.claim`` does.
    """
    record = digests.record_id("signature", signature.keyid, signature.nonce)
    if not store.claim(record, made_at=signature.created, now=now, what="a signature"):
        raise NonceReused


def _read(request: Request) -> tuple[Covered, bytes]:
    presented = [request.fields.get(name) for name in ("signature-input", "signature")]
    if not all(presented):
        raise SignatureMissing
    if len(str(presented[0])) > _LONGEST_INPUT:
        raise SignatureMalformed("Signature-Input is too long.")
    try:
        covered, value = read(*map(str, presented))
    except SignatureError as error:
        raise SignatureMalformed(str(error)) from error
    if len(covered.components) > _MOST_COMPONENTS:
        raise SignatureMalformed("Too many components are covered.")
    return covered, value


def _check_coverage(covered: Covered, request: Request, body: bytes) -> None:
    if body and "content-digest" not in request.fields:
        raise ContentDigestMissing
    required = [*ALWAYS_COVERED, *(name for name in COVERED_IF_PRESENT if name in request.fields)]
    # A component with parameters is another component: "@query-param" of one name does not cover the query.
    whole = {name for name, parameters in covered.components if not parameters}
    missing = [name for name in required if name not in whole]
    missing += [name for name in REQUIRED_PARAMETERS if name not in covered.parameters]
    if missing:
        raise SignatureIncomplete(f"It lacks {', '.join(missing)}.")


def _checked_parameters(parameters: dict[str, Any], now: dt.datetime) -> Signature:
    for name, value in parameters.items():
        # Not isinstance: a bool is an int, and a parameter nobody knows may restrict what was signed.
        if type(value) is not _PARAMETERS.get(name):
            raise SignatureMalformed("A signature parameter is unknown or of the wrong type.")
    created, expires, nonce = parameters["created"], parameters["expires"], parameters["nonce"]
    if not _NONCE.fullmatch(nonce):
        raise SignatureMalformed("The nonce must be 16 to 128 visible ASCII characters.")
    if not 0 <= created < expires <= _LAST_SECOND:
        raise SignatureMalformed("It must expire after it was created.")
    skew, age = settings.CLOCK_SKEW, now.timestamp() - created
    if not -skew <= age <= settings.REPLAY_WINDOW:
        raise SignatureStale(f"It must have been created within {settings.REPLAY_WINDOW} seconds of our clock.")
    if now.timestamp() > expires + skew:
        raise SignatureStale("It has expired.")
    return Signature(parameters["keyid"], nonce, dt.datetime.fromtimestamp(created, dt.UTC))
