"""A request that says when it was made and names itself is accepted once.

The timestamp must lie within ``REPLAY_WINDOW`` seconds of our clock, before or after; the nonce is claimed by an
insert under a unique key for as long as that timestamp could be accepted anywhere. The claim commits before the view
runs, so no rollback brings the nonce back.
"""

from securecore.replay.freshness import claim_nonce, parse_timestamp
from securecore.replay.models import SeenNonce

__all__ = ["SeenNonce", "claim_nonce", "parse_timestamp"]
