"""The refusals, each with a stable code, and ``Misuse``.

A refusal is an answer to untrusted input: the edge turns it into ``application/problem+json`` (RFC 9457). The caller
reads the ``title``. ``detail`` may add the sentence that an honest client needs to mend its request, never a secret or
a stored value. A mistake of the program is ``Misuse`` instead: its text is for the developer, and no code should catch
that exception.
"""

from securecore.errors.base import Busy, DatabaseUnavailable, Misuse, Refused, every_refusal
from securecore.errors.certificates import (
    CertificateExpired,
    CertificateMalformed,
    CertificateNamesRefused,
    CertificateNotVerified,
    CertificateRequired,
    CertificateRevoked,
    CertificateTooLarge,
    CertificateUnknown,
    CrossSite,
    EarlyData,
    ProxySignatureRefused,
    RevocationListExpired,
)
from securecore.errors.credentials import (
    AuthenticationRequired,
    CredentialsConflict,
    CredentialsRefused,
    InvalidToken,
    RecentAuthenticationRequired,
    SessionRefused,
    TokenInUrl,
)
from securecore.errors.freshness import (
    ContentDigestMalformed,
    ContentDigestMismatch,
    ContentDigestMissing,
    InvalidDPoPProof,
    NonceMalformed,
    NonceMissing,
    NonceReused,
    ReplayStoreUnavailable,
    SignatureIncomplete,
    SignatureInvalid,
    SignatureKeyUnknown,
    SignatureMalformed,
    SignatureMissing,
    SignatureStale,
    TimestampMalformed,
    TimestampMissing,
    TimestampStale,
    UseDPoPNonce,
)
from securecore.errors.idempotency import (
    IdempotencyInProgress,
    IdempotencyKeyMalformed,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    IdempotencyNotSupported,
    IdempotencyResponseUnreadable,
)
from securecore.errors.permissions import AllowanceExhausted, AmountRefused, LockedOut, PermissionDenied
from securecore.errors.requests import BodyIncomplete, CharsetRefused, ContentLengthMalformed, TextRefused

__all__ = ["AllowanceExhausted", "Busy", "DatabaseUnavailable", "Misuse", "PermissionDenied", "Refused"]
