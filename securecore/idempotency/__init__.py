"""Idempotency keys: one effect for each key, also after a crash.

The claim of the key, the effect and the stored response commit in one transaction. After a crash no row remains, so a
retry runs at once. A twin waits on the unique index until the first request commits, and then gets the stored response.
For effects outside the database there is a claim with a lease (``lease.py``).

Decorator and middleware are not here: ``securecore.http.idempotency`` has them.
"""

from securecore.idempotency.keys import fingerprint_of, parse_key
from securecore.idempotency.lease import claim_lease, release, store_leased
from securecore.idempotency.models import IdempotencyRecord
from securecore.idempotency.record import Claim, claim, is_final, store, stored_response
from securecore.idempotency.response import StoredResponse
