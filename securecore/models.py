"""The index of securecore's tables; each lives in its feature."""

from securecore.grants.models import Gate, Grant
from securecore.idempotency.models import IdempotencyRecord
from securecore.identity.models import Certificate
from securecore.replay.models import SeenNonce
from securecore.sessions.models import Session
from securecore.tokens.models import RevokedToken

__all__ = ["Certificate", "Gate", "Grant", "IdempotencyRecord", "RevokedToken", "SeenNonce", "Session"]
