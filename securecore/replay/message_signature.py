"""The HTTP message signature, by which a client's key signs one request (RFC 9421).

``verify_signature`` makes the checks of section 3.2, cheap ones first. It also enforces securecore's profile (section
1.4): the constants below list the components and parameters that each signature must have. ``claim_signature`` then
accepts the signature once in the whole cluster (section 7.2.2).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass

from securecore import clock, digests
from securecore.conf import settings
from securecore.errors import (
    ContentDigestMissing,
    NonceReused,
    SignatureIncomplete,
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
    SignatureStale,
)
from securecore.replay import store
from securecore.replay.content_digest import check_content_digest
from securecore_client.wire.message_signatures import (
    Covered,
    PublicKey,
    Request,
    SignatureError,
    SignatureOutdated,
    is_signed_by,
    read,
)

#: The components that every signature covers, and the header fields that a signature covers if the request has them.
#: The content type and encoding are among them because the same signed bytes mean something else under another type.
#: Example: ``amount=1`` as a form and as JSON, or bytes that are gzip.
ALWAYS_COVERED = ("@method", "@target-uri", "@authority")
COVERED_IF_PRESENT = ("content-digest", "content-type", "content-encoding", "idempotency-key", "authorization")
REQUIRED_PARAMETERS = ("created", "expires", "nonce", "keyid")

#: 16 characters of base64url are 96 random bits.
_NONCE = re.compile(r"[!-~]{16,128}")


@dataclass(frozen=True)
class Signature:
    """A signature that passed every check except the claim."""

    keyid: str
    nonce: str
    created: dt.datetime


def verify_signature(
    request: Request, *, body: bytes, key_of: Callable[[str], PublicKey], now: dt.datetime
) -> Signature:
    """Return the good signature of ``request`` with this raw ``body``.

    ``key_of`` returns the public key of a ``keyid`` or raises ``SignatureKeyUnknown``, which passes through. Also
    raises ``SignatureMissing``, ``SignatureMalformed``, ``SignatureIncomplete``, ``SignatureStale``,
    ``SignatureInvalid``, ``ContentDigestMissing``, ``ContentDigestMalformed``, ``ContentDigestMismatch``. Nothing is
    stored: call ``claim_signature`` afterwards.
    """
    covered, value = _read(request)
    _check_coverage(covered, request, body)
    signature = _checked_parameters(covered, now)
    key = key_of(signature.keyid)
    try:
        good = is_signed_by(key, covered, value, request)
    except SignatureError as error:
        raise SignatureInvalid(str(error)) from error
    if not good:
        raise SignatureInvalid
    # The signature covers the digest but not the body itself (section 7.2.8).
    if "content-digest" in request.fields:
        check_content_digest(request.fields["content-digest"], body)
    return signature


def components_for(request: Request) -> tuple[str, ...]:
    """Return the components that a signature of ``request`` must cover."""
    # For a request without Content-Type, WSGI servers pass an empty one: an empty field counts as absent.
    return (*ALWAYS_COVERED, *(name for name in COVERED_IF_PRESENT if request.fields.get(name)))


def accept_signature(request: Request) -> str:
    """Return the value of ``Accept-Signature`` that asks for the signature of ``request`` (RFC 9421 section 5)."""
    wanted = dict.fromkeys((*ALWAYS_COVERED, "content-digest", *components_for(request)))
    names = " ".join(f'"{name}"' for name in wanted)
    return f"sig=({names});created;expires"


def claim_signature(signature: Signature, *, now: dt.datetime) -> None:
    """Accept ``signature`` once in the cluster. Commits by itself: raises ``Misuse`` in a transaction.

    Raises ``NonceReused``, and the exceptions of ``store.claim``.
    """
    record = digests.record_id("signature", signature.keyid, signature.nonce)
    if not store.claim(record, made_at=signature.created, now=now, kind="a signature"):
        raise NonceReused


def _read(request: Request) -> tuple[Covered, bytes]:
    presented = [request.fields.get(name) for name in ("signature-input", "signature")]
    if not all(presented):
        raise SignatureMissing
    try:
        return read(*map(str, presented))
    except SignatureError as error:
        raise SignatureMalformed(str(error)) from error


def _check_coverage(covered: Covered, request: Request, body: bytes) -> None:
    if body and "content-digest" not in request.fields:
        raise ContentDigestMissing
    missing = [name for name in components_for(request) if name not in covered.whole]
    missing += [name for name in REQUIRED_PARAMETERS if name not in covered.parameters]
    if missing:
        raise SignatureIncomplete(f"It lacks {', '.join(missing)}.")


def _checked_parameters(covered: Covered, now: dt.datetime) -> Signature:
    created, nonce = covered.parameters["created"], covered.parameters["nonce"]
    try:
        covered.check_parameters()
        if not _NONCE.fullmatch(nonce):
            raise SignatureMalformed("The nonce must be 16 to 128 visible ASCII characters.")
        covered.check_dates(now.timestamp(), window=settings.REPLAY_WINDOW, skew=clock.SKEW)
    except SignatureOutdated as error:
        raise SignatureStale(str(error)) from error
    except SignatureError as error:
        raise SignatureMalformed(str(error)) from error
    return Signature(covered.parameters["keyid"], nonce, dt.datetime.fromtimestamp(created, dt.UTC))
