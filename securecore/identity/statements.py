"""SQL about the client certificate of a request. The one query (``securecore.caller``) includes these fragments."""

from __future__ import annotations

from typing import Any, NamedTuple


class Enrolment(NamedTuple):
    """The row of an enrolled certificate, key or name. ``user`` is the primary key of its user."""

    thumbprint: str
    user: Any
    is_self_signed: bool
    revoked_at: Any


#: The columns of ``Enrolment``, of the row ``c``.
ENROLMENT = "c.thumbprint, c.user_id, c.is_self_signed, c.revoked_at"

#: The condition that a revocation list names the client certificate.
IS_LISTED = "EXISTS (SELECT 1 FROM securecore_listed_certificate WHERE certificate = %(serial_id)s)"
#: The condition that a revocation list of the issuer has expired, and refuses certificates from then on.
LIST_HAS_EXPIRED = """
    EXISTS (SELECT 1 FROM securecore_revocation_list
            WHERE issuer = %(issuer)s AND refuses_when_expired AND next_update <= %(now)s)
"""
#: The SQL types of the parameters: ``ClientCertificate.serial_id`` and ``issuer``.
TYPES = {"serial_id": "uuid", "issuer": "text"}
