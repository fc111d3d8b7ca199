"""What one request needs to know, read in one statement.

Its certificate, session and token, whether each is still wanted, whose they are and what these users may do come from
one SELECT, so nothing can change between two of them and no cache has to be kept true. ``statement`` is that SELECT,
``Snapshot`` what it said, ``users`` makes complete user objects of it, and ``Access`` is what a request has of it all.
"""

from securecore.access.request import Access, user_of_certificate, user_of_token, why_not_leased

__all__ = ["Access", "user_of_certificate", "user_of_token", "why_not_leased"]
