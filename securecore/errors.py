"""The refusals, each with a stable code, and ``Misuse``.

A refusal is a decision against untrusted input. The edge sends it as a problem response (``application/problem+json``,
RFC 9457). The response contains the ``title``. ``detail`` may add a hint that an honest client needs to correct its
request, but never a value that securecore compared with. A mistake of the programmer is a ``Misuse`` instead: its text
is for the developer, and no code should catch it.
"""

from __future__ import annotations

from typing import ClassVar


class Misuse(RuntimeError):
    """A call that can never be right. The text names the right call."""


class Refused(Exception):
    """A decision against the request. An application may subclass this for a refusal of its own.

    ``detail`` is one sentence for the caller, ``headers`` are headers that the response must have.
    """

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The request was refused."

    def __init__(self, detail: str = "", *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.headers = headers or {}


class Unavailable(Refused):
    """A fault of a part, for example PostgreSQL: securecore cannot decide, so the response is 503 and never success."""

    status = 503
    code = "unavailable"
    title = "The service cannot decide this right now."

    def __init__(self, detail: str = "", *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class DatabaseUnavailable(Unavailable):
    code = "database-unavailable"
    title = "The service cannot reach its records right now."


class Busy(Unavailable):
    code = "busy"
    title = "The wait for this principal's other requests was too long."


# Identity


class CertificateRequired(Refused):
    code = "certificate-required"
    title = "A client certificate is required."


class CertificateMalformed(Refused):
    code = "certificate-malformed"
    status = 400
    title = "The client certificate cannot be read."


class CertificateTooLarge(Refused):
    code = "certificate-too-large"
    status = 431
    title = "The client certificate is too large."


class CertificateNamesRefused(Refused):
    """The certificate has more names than securecore looks up. A name beyond the limit could be revoked or denied."""

    code = "certificate-names-refused"
    title = "The client certificate has too many names."


class CertificateNotVerified(Refused):
    code = "certificate-not-verified"
    title = "The client certificate was not verified."


class ProxySignatureRefused(Refused):
    """An identity header has no good signature of the proxy. The client cannot correct this."""

    code = "proxy-signature-refused"
    title = "The client certificate was not signed by the proxy."


class CertificateExpired(Refused):
    code = "certificate-expired"
    title = "The client certificate is not valid at this time."


class CertificateRevoked(Refused):
    code = "certificate-revoked"
    title = "The client certificate has been revoked."


class CertificateUnknown(Refused):
    code = "certificate-unknown"
    title = "The client certificate belongs to no account here."


class CrossSite(Refused):
    code = "cross-site"
    title = "Another site may not use this client certificate."


class EarlyData(Refused):
    code = "early-data"
    status = 425
    title = "Send this request again after the TLS handshake."


# Sessions


class SessionRefused(Refused):
    code = "session-refused"
    status = 401
    title = "The session belongs to another certificate."


class SessionLimitReached(Refused):
    code = "session-limit-reached"
    title = "You have too many sessions; end one of them first."


class RecentAuthenticationRequired(Refused):
    code = "recent-authentication-required"
    status = 401
    title = "Log in again for this."


class CredentialsRefused(Refused):
    code = "credentials-refused"
    status = 401
    title = "These credentials are not accepted."


# Tokens


class TokenInUrl(Refused):
    code = "token-in-url"
    status = 400
    title = "A token in a URL is never accepted; send it in the Authorization header."


class InvalidToken(Refused):
    code = "invalid-token"
    status = 401
    title = "The access token is not accepted."


class AuthenticationRequired(Refused):
    code = "authentication-required"
    status = 401
    title = "Authentication is required."


class CredentialsConflict(Refused):
    """Two credentials of one request name two callers; docs/callers.md has the table."""

    code = "credentials-conflict"
    status = 401
    title = "The credentials of this request do not belong together."


# Replay


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
    title = "The HTTP message signature does not cover what it must."


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
    title = "The DPoP proof must contain the nonce that this answer gives."


# Idempotency


class IdempotencyKeyMissing(Refused):
    code = "idempotency-key-missing"
    status = 400
    title = "Idempotency-Key is missing."


class IdempotencyKeyMalformed(Refused):
    code = "idempotency-key-malformed"
    status = 400
    title = "Idempotency-Key must be one string of 1 to 255 visible ASCII characters."


class IdempotencyKeyReused(Refused):
    code = "idempotency-key-reused"
    status = 422
    title = "This Idempotency-Key was used for another request."


class IdempotencyInProgress(Refused):
    code = "idempotency-in-progress"
    status = 409
    title = "A request with this Idempotency-Key is still running."

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


class IdempotencyNotSupported(Refused):
    code = "idempotency-not-supported"
    status = 400
    title = "This resource takes no Idempotency-Key."


class IdempotencyAnswerUnreadable(Unavailable):
    code = "idempotency-answer-unreadable"
    title = "The answer to this Idempotency-Key cannot be read right now."


# Requests as a whole


class BodyIncomplete(Refused):
    code = "body-incomplete"
    status = 400
    title = "The request body ended before its Content-Length."


# Grants


class PermissionDenied(Refused):
    code = "permission-denied"
    title = "You may not do this."


class AllowanceExhausted(PermissionDenied):
    code = "allowance-exhausted"
    title = "You have used up what you may do of this."


class AmountRefused(Refused):
    """The amount of a request is no whole number from 1 to 2^63 - 1, the largest ``bigint``."""

    code = "amount-refused"
    status = 400
    title = "The amount must be a whole number greater than zero."


# Texts


class TextRefused(Refused):
    """A text holds NUL or a lone surrogate, which PostgreSQL cannot store, or is longer than its column."""

    code = "text-refused"
    status = 400
    title = "A text holds characters that cannot be stored, or is too long."


def every_refusal(base: type[Refused] = Refused) -> list[type[Refused]]:
    """Return ``base`` and all its subclasses, in order of definition."""
    return [base, *(refusal for sub in base.__subclasses__() for refusal in every_refusal(sub))]
