"""``@fresh``: accept each request once, by its nonce, its DPoP proof or its message signature.

The rows that record a claim, and the checks of proofs and signatures, are in ``securecore.replay``.
"""
