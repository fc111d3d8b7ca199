"""Call a service that securecore protects, from any Python program: nothing in here needs Django.

::

    from securecore.client import MessageSignature, mutual_tls
    from securecore.client.httpx import Transport

    signature = MessageSignature.of_certificate("alice.pem", "alice.key")
    tls = mutual_tls("alice.pem", "alice.key", authorities="ca.pem")
    client = httpx.Client(transport=Transport("https://pay.example", signature, verify=tls))

``TimestampNonce``, ``DPoP`` and ``MessageSignature`` are the three proofs that ``@fresh`` takes;
``securecore.client.httpx`` and ``securecore.client.requests`` put them on every request to the service, and on no
other. A request that failed is sent again, with a new proof, if it is safe or carries an Idempotency-Key (``Retry``).
"""

from securecore.client.exchange import Retry, new_idempotency_key
from securecore.client.proofs import DPoP, MessageSignature, Proof, TimestampNonce
from securecore.client.tls import mutual_tls

__all__ = [
    "DPoP",
    "MessageSignature",
    "Proof",
    "Retry",
    "TimestampNonce",
    "mutual_tls",
    "new_idempotency_key",
]
