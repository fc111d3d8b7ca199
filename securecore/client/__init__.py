"""Call a service that securecore protects, from any Python program. This package needs no Django.

::

    from securecore.client import MessageSignature, mutual_tls
    from securecore.client.httpx import Transport

    signature = MessageSignature.of_certificate("alice.pem", "alice.key")
    tls = mutual_tls("alice.pem", "alice.key", authorities="ca.pem")
    client = httpx.Client(transport=Transport("https://pay.example", signature, verify=tls))

``TimestampNonce``, ``DPoP`` and ``MessageSignature`` are the three proofs that ``@fresh`` accepts.
``securecore.client.httpx`` and ``securecore.client.requests`` add the proofs to each request to the service, and to no
other request. They send a failed request again, with a new proof, if its method is safe or if it has an Idempotency-Key
(``Retry``).
"""

from securecore.client.exchange import Retry, new_idempotency_key
from securecore.client.proofs import DPoP, MessageSignature, Proof, TimestampNonce
from securecore.client.tls import mutual_tls

__all__ = [
    "DPoP",
    "MessageSignature",
    "Retry",
    "TimestampNonce",
    "mutual_tls",
    "new_idempotency_key",
]
