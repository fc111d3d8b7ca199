"""The one text of a distinguished name that equals the text of a certificate's name: RFC 4514."""

from __future__ import annotations

import re

#: RFC 4514 section 3 names these types; every other type is written as its number.
_TYPE = r"(?:CN|C|L|STREET|ST|OU|O|DC|UID|[0-9]+(?:\.[0-9]+)+)"
_ATTRIBUTE = rf'{_TYPE}=(?! )(?:[^\\,+"<>;\0]|\\.)*'
_NAME = re.compile(rf"{_ATTRIBUTE}(?:[,+]{_ATTRIBUTE})*", re.DOTALL)


def is_rfc4514(text: str) -> bool:
    """Return whether ``text`` may be the name of a certificate.

    The form of openssl, ``O = Bank, CN = erin``, is none: it would be stored and would match no certificate.
    """
    return _NAME.fullmatch(text) is not None


#: The end of a message about another text.
HOW_TO_WRITE = (
    "Write RFC 4514, the last attribute first, without spaces around = and the comma: 'CN=erin,O=Bank' for openssl's "
    "'O = Bank, CN = erin' (openssl x509 -noout -subject -issuer -nameopt RFC2253), and the number of a type that "
    "RFC 4514 does not name: 1.2.840.113549.1.9.1 for emailAddress."
)
