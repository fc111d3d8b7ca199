"""Helpers for the tests of projects that use securecore: a client with a certificate, a request, a user, a clock.

::

    def test_transfer(mtls_client):
        response = mtls_client("alice", permissions=["transfers.create"]).post("/api/transfers", {...})

The fixtures of ``securecore.testing.fixtures`` need pytest-django; the names here need only Django's test runner. Never
import this package in a service: it issues certificates.
"""

from securecore.testing.authority import Authority, Issued
from securecore.testing.clients import MutualTLSAPIClient, MutualTLSClient
from securecore.testing.fake_clock import FakeClock
from securecore.testing.requests import identified
from securecore.testing.users import enrolled_user

__all__ = [
    "Authority",
    "FakeClock",
    "Issued",
    "MutualTLSAPIClient",
    "MutualTLSClient",
    "enrolled_user",
    "identified",
]
