"""What one request needs to know, read in one statement.

Its certificate, session and token, whether each is still wanted, whose they are and what these users may do come from
one SELECT, so nothing can change between two of them and no cache has to be kept true. ``statement`` is that SELECT,
``Snapshot`` what it said, ``users`` makes complete user objects of it, and ``Access`` is what a request has of it all.
``caller`` is the table that decides whose request it is when it presents several credentials.
"""

from securecore.access import caller
from securecore.access.credentials import session_credential, signature_key_credential, token_credential
from securecore.access.request import Access, user_of_certificate, user_of_token, why_not_leased

__all__ = [
    "Access",
    "caller",
    "session_credential",
    "signature_key_credential",
    "token_credential",
    "user_of_certificate",
    "user_of_token",
    "why_not_leased",
]
