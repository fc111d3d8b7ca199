"""A request that says when it was made and names itself is accepted once.

The timestamp must lie within ``REPLAY_WINDOW`` seconds of our clock, before or after; the nonce is claimed by an
insert under a unique key for as long as that timestamp could be accepted anywhere. The claim commits before the view
runs, so no rollback brings the nonce back.

A DPoP proof says the same and signs it with the key that its token is bound to (RFC 9449): ``verify_proof``, then
``claim_proof``. ``server_nonce`` dates proofs by our clock instead of the client's.

An HTTP message signature signs the request itself, body included, with the key of the client certificate or one that
was registered (RFC 9421): ``verify_signature``, then ``claim_signature``. ``signature_keys`` registers and revokes.
"""

from securecore.replay import server_nonce, signature_keys
from securecore.replay.dpop import Proof, claim_proof, verify_proof
from securecore.replay.freshness import claim_nonce, parse_timestamp
from securecore.replay.message_signature import Signature, accept_signature, claim_signature, verify_signature
from securecore.replay.models import SeenNonce, SignatureKey
from securecore.replay.proof_key import DPOP_ALGORITHMS

__all__ = [
    "DPOP_ALGORITHMS",
    "Proof",
    "SeenNonce",
    "Signature",
    "SignatureKey",
    "accept_signature",
    "claim_nonce",
    "claim_proof",
    "claim_signature",
    "parse_timestamp",
    "server_nonce",
    "signature_keys",
    "verify_proof",
    "verify_signature",
]
