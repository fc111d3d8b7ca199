"""Sessions of requests: login and logout, the binding to the certificate, reports of exposed session ids.

The session engine and its table are in ``securecore.sessions``.
"""
