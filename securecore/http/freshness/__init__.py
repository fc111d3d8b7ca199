"""``@fresh``: a request is accepted once, by its nonce, its DPoP proof or its message signature."""
