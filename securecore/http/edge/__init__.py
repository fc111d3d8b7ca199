"""The edge: the certificate that the trusted proxy verified, and refusals that hold for every request."""
