"""Refusals of nonces, timestamps, message signatures and DPoP proofs."""

from __future__ import annotations

from securecore.errors.base import Refused, Unavailable


class TimestampMissing(Refused):
    code = "timestamp-missing"
    status = 400
    title = "X-Request-Timestamp is missing."


class TimestampMalformed(Refused):
    code = "timestamp-malformed"
    status = 400
    title = "X-Request-Timestamp is not a count of Unix seconds."


class TimestampStale(Refused):
    code = "timestamp-stale"
    status = 401
    title = "X-Request-Timestamp is outside the accepted window."


class NonceMissing(Refused):
    code = "nonce-missing"
    status = 400
    title = "X-Request-Nonce is missing."


class NonceMalformed(Refused):
    code = "nonce-malformed"
    status = 400
    title = "X-Request-Nonce must be 16 to 128 visible ASCII characters."


class NonceReused(Refused):
    code = "nonce-reused"
    status = 409
    title = "This request was received before."


class ReplayStoreUnavailable(Unavailable):
    code = "replay-store-unavailable"
    title = "The service cannot find out whether this request is new."


class SignatureMissing(Refused):
    code = "signature-missing"
    status = 400
    title = "Signature-Input or Signature is missing."


class SignatureMalformed(Refused):
    code = "signature-malformed"
    status = 400
    title = "The HTTP message signature cannot be read."


class SignatureIncomplete(Refused):
    code = "signature-incomplete"
    status = 400
    title = "The HTTP message signature does not cover each required part."


class SignatureStale(Refused):
    code = "signature-stale"
    status = 401
    title = "The HTTP message signature is outside the accepted window."


class SignatureKeyUnknown(Refused):
    code = "signature-key-unknown"
    status = 401
    title = "The key of the HTTP message signature is not accepted here."


class SignatureInvalid(Refused):
    code = "signature-invalid"
    status = 401
    title = "The HTTP message signature is not this request's."


class ContentDigestMissing(Refused):
    code = "content-digest-missing"
    status = 400
    title = "Content-Digest is missing."


class ContentDigestMalformed(Refused):
    code = "content-digest-malformed"
    status = 400
    title = "Content-Digest cannot be read."


class ContentDigestMismatch(Refused):
    code = "content-digest-mismatch"
    status = 400
    title = "The body is not the one that Content-Digest describes."


class InvalidDPoPProof(Refused):
    """RFC 9449 ``invalid_dpop_proof``. At a resource the edge responds 401 with a challenge (section 7.1)."""

    code = "invalid-dpop-proof"
    status = 400
    title = "The DPoP proof is not accepted."


class UseDPoPNonce(Refused):
    """RFC 9449 ``use_dpop_nonce``. The edge adds ``DPoP-Nonce``, and at a resource responds 401 (sections 8 and 9)."""

    code = "use-dpop-nonce"
    status = 400
    title = "The DPoP proof must contain the nonce that this response gives."
