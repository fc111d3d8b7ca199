"""One effect a key, whatever crashes.

The claim of the key, the effect and the stored response commit in one transaction. A crash leaves nothing behind, so a
retry runs at once; a twin waits on the unique index until the first one has committed, and then gets its response.
"""

from securecore.idempotency.keys import fingerprint_of, parse_key
from securecore.idempotency.models import IdempotencyRecord
from securecore.idempotency.record import StoredResponse, claim, is_final, store

__all__ = ["IdempotencyRecord", "StoredResponse", "claim", "fingerprint_of", "is_final", "parse_key", "store"]
