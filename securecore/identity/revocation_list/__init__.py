"""Certificate revocation lists (CRL, RFC 5280 section 5): read, verify, and store one.

``file`` reads a list of any length in pieces, ``contents`` judges its extensions and entries, ``signature`` verifies it
against the certificate of its issuer, and ``rows`` replaces the stored entries. ``securecore.revocation_lists`` puts
these steps in order, and ends the sessions and tokens of listed certificates.
"""

from securecore.identity.revocation_list.file import open_list
from securecore.identity.revocation_list.rows import (
    Replaced,
    count_expired_entries,
    delete_expired_entries,
    remembered_and_listed,
    replace,
)
from securecore.identity.revocation_list.signature import signing_authority
