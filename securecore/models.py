"""The index of securecore's tables; each lives in its feature."""

from securecore.audit.models import AuditRow, RefusalCount, RefusalTotal
from securecore.grants.models import Gate, Grant, GrantUse, Lockout
from securecore.idempotency.models import IdempotencyRecord
from securecore.identity.models import Certificate, CertificateIdentifier, ListedCertificate, RevocationList
from securecore.last_runs.models import ControlRoom, LastRun
from securecore.replay.models import SeenNonce, SignatureKey
from securecore.sessions.models import Session
from securecore.tokens.models import (
    Client,
    OneTimeToken,
    RefreshFamily,
    RefreshToken,
    RevokedToken,
    SigningKey,
    TokenEpoch,
)
