"""Call a service that securecore protects, from any Python program. This package needs no Django.

::

    import httpx
    from securecore_client import MessageSignature, mutual_tls
    from securecore_client.httpx import Transport

    signature = MessageSignature.of_certificate("alice.pem", "alice.key")
    tls = mutual_tls("alice.pem", "alice.key", authorities="ca.pem")
    client = httpx.Client(transport=Transport("https://pay.example", signature, verify=tls))

``TimestampNonce``, ``DPoP`` and ``MessageSignature`` are the three proofs that ``@fresh`` accepts. Each HTTP library
has a module with an adapter: ``Transport`` in ``httpx``, ``Adapter`` in ``requests``, ``Handler`` in ``urllib``. The
adapter adds the proofs to each request to the service, and to no other request. It sends a failed request again, with
a new proof, if the method is safe or if the request has an Idempotency-Key (``Retry``).

``securecore_client.wire`` holds the formats that client and server share.
"""

from securecore_client.exchange import Retry, new_idempotency_key
from securecore_client.proofs import DPoP, MessageSignature, Proof, TimestampNonce
from securecore_client.tls import mutual_tls

__all__ = [
    "DPoP",
    "MessageSignature",
    "Proof",
    "Retry",
    "TimestampNonce",
    "mutual_tls",
    "new_idempotency_key",
]
