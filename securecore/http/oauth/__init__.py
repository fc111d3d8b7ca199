"""The endpoints of a small authorization server for clients that authenticate by certificate.

The tokens themselves are in ``securecore.tokens``. The RFCs define the format of errors here: JSON with ``error``. All
other views of securecore use problem+json.
"""
