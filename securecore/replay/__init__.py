"""Replay protection: a request with a timestamp and a nonce is accepted once.

The timestamp must lie within ``REPLAY_WINDOW`` seconds of the server's clock, before or after. The nonce is claimed by
an insert under a unique key, and the row stays as long as any host could accept the timestamp. The claim commits before
the view runs, so a rollback of the view does not make the nonce usable again.

A DPoP proof also holds a timestamp and a nonce, signed with the key to which the token is bound (RFC 9449): call
``verify_proof``, then ``claim_proof``. ``server_nonce`` dates proofs by the server's clock instead of the client's.

An HTTP message signature covers the request and its body, and is made with the key of the client certificate or with a
registered key (RFC 9421): call ``verify_signature``, then ``claim_signature``. ``signature_keys`` registers and revokes
keys.

Decorators and headers are not here: ``securecore.http`` has them.
"""

from securecore.replay import server_nonce, signature_keys
from securecore.replay.dpop import Proof, claim_proof, verify_proof
from securecore.replay.freshness import claim_nonce, parse_timestamp
from securecore.replay.message_signature import Signature, accept_signature, claim_signature, verify_signature
from securecore.replay.models import SeenNonce, SignatureKey
from securecore.replay.proof_key import DPOP_ALGORITHMS

__all__ = ["signature_keys"]
