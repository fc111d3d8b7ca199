"""The endpoints of a small authorization server for clients that are known by certificate.

Errors are those of the RFCs, which have formats of their own: JSON with ``error`` here, problem+json everywhere else.
"""
