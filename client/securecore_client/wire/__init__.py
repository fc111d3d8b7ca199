"""The formats on the wire that a client builds and a server checks: each is defined here once.

securecore imports this subpackage and no other part of ``securecore_client``, so a server never loads an HTTP client.
The modules need the standard library, ``cryptography`` and ``http_sf``.
"""
