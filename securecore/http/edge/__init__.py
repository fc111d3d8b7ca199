"""The edge: read the certificate that the trusted proxy verified, and refuse requests that no view may accept.

The lookup of the certificate's user is in ``securecore.identity`` and ``securecore.caller``.
"""
