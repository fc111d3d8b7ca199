"""Client certificates: read them, find the user of a certificate, enrol and revoke certificates.

``encodings`` parses the identity header of a proxy into a ``ClientCertificate``, a frozen value. ``chain`` verifies
the certificate once more, where the settings demand it. A ``Certificate`` row holds the certificate's user and its
revocation. The row is found by the SHA-256 thumbprint, or, if ``CERTIFICATE_MATCHES`` allows it, by the certificate's
key or by a name together with its issuer. A name alone never counts, because any trusted authority may write any name.

Headers and trusted proxies are not here: ``securecore.http`` has them.
"""

from securecore.identity import chain
from securecore.identity.certificates import ClientCertificate
from securecore.identity.encodings import parse_der, parse_escaped_pem, parse_pem
from securecore.identity.files import parse_file
from securecore.identity.matching import Match, identifiers, match_of
from securecore.identity.models import Certificate
from securecore.identity.obtained import remember, thumbprints_of
from securecore.identity.registry import admit, enroll, enroll_match, named_user, owner_of, present, revoke

__all__ = ["ClientCertificate", "enroll", "enroll_match", "match_of", "parse_file", "parse_pem", "remember"]
